"""What every version of MQTT has."""

from checks import Check, same
from paho.mqtt.client import MQTTv31
from peer import Peer, Will

AWAY_MESSAGES = 500


class EveryVersion:
    """Checks of one version against the server on a port."""

    def __init__(self, port: int, version: int) -> None:
        self.port = port
        self.version = version

    def checks(self) -> list[Check]:
        return [
            ("messages of QoS 0, 1 and 2 arrive once each at their QoS", self.three_qos),
            ("a subscription lowers the QoS of what it gets", self.lowered_qos),
            ("an ended subscription gets nothing more", self.unsubscribed),
            ("a session that was away gets what it missed in order, then live", self.away),
            ("a clean session keeps nothing", self.clean),
            ("a retained message comes with the flag until it is replaced or cleared", self.retained),
            ("a will is sent when the connection is cut", self.will_sent),
            ("no will is sent after a clean disconnect", self.will_dropped),
        ]

    def peer(self, client_id: str, **options) -> Peer:
        return Peer(self.port, self.version, client_id, **options).connect()

    def session(self, client_id: str, **options) -> Peer:
        """A session that outlives its connection."""
        return self.peer(client_id, clean=False, **options)

    def three_qos(self) -> None:
        subscriber, publisher = self.peer("three-sub"), self.peer("three-pub")
        same(subscriber.subscribe(("three/#", 2)), [2])
        expected = {qos: [f"{qos}-{number}" for number in range(20)] for qos in (0, 1, 2)}
        for number in range(20):
            for qos in (0, 1, 2):
                publisher.publish(f"three/{qos}", f"{qos}-{number}", qos=qos)
        publisher.publish("three/end", "end", qos=2)
        got = subscriber.before("end")
        for qos in (0, 1, 2):
            of_topic = [message for message in got if message.topic == f"three/{qos}"]
            same([message.payload for message in of_topic], expected[qos])
            same({message.qos for message in of_topic}, {qos})
        same(len(got), 60)
        subscriber.disconnect()
        publisher.disconnect()

    def lowered_qos(self) -> None:
        publisher = self.peer("lowered-pub")
        subscribers = {qos: self.peer(f"lowered-{qos}") for qos in (0, 1, 2)}
        for qos, subscriber in subscribers.items():
            same(subscriber.subscribe(("lowered/+", qos)), [qos])
        for sent in (0, 1, 2):
            publisher.publish("lowered/x", str(sent), qos=sent)
            for qos, subscriber in subscribers.items():
                message = subscriber.next()
                same((message.payload, message.qos), (str(sent), min(sent, qos)))
        for peer in (publisher, *subscribers.values()):
            peer.disconnect()

    def unsubscribed(self) -> None:
        peer = self.peer("unsubscribed")
        peer.subscribe(("unsubscribed/a", 1), ("unsubscribed/b", 1))
        peer.publish("unsubscribed/a", "before")
        same(peer.next().payload, "before")
        peer.unsubscribe("unsubscribed/a")
        peer.publish("unsubscribed/a", "after")
        peer.publish("unsubscribed/b", "end")
        same(peer.before("end"), [])
        peer.disconnect()

    def away(self) -> None:
        first = self.session("away-sub")
        if self.version != MQTTv31:
            same(first.session_present, False)
        first.subscribe(("away/#", 2))
        first.disconnect()
        publisher = self.peer("away-pub")
        missed = [f"missed {number}" for number in range(AWAY_MESSAGES)]
        half = AWAY_MESSAGES // 2
        publisher.publish("away/a", *missed[:half], qos=1)
        publisher.publish("away/b", *missed[half:], qos=2)
        again = self.session("away-sub")
        if self.version != MQTTv31:
            same(again.session_present, True)
        publisher.publish("away/c", "live", qos=2)
        got = again.take(AWAY_MESSAGES + 1)
        same([message.payload for message in got], [*missed, "live"])
        same([message.qos for message in got], [1] * half + [2] * (half + 1))
        publisher.publish("away/c", "end", qos=2)
        same(again.before("end"), [])
        again.disconnect()
        publisher.disconnect()

    def clean(self) -> None:
        first = self.session("clean")
        first.subscribe(("clean/#", 1))
        first.disconnect()
        publisher = self.peer("clean-pub")
        publisher.publish("clean/a", "missed")
        again = self.peer("clean")
        same(again.session_present, False)
        publisher.publish("clean/a", "not subscribed")
        again.subscribe(("clean/#", 1))
        publisher.publish("clean/a", "end")
        same(again.before("end"), [])
        again.disconnect()
        third = self.session("clean")
        same(third.session_present, False)
        third.disconnect()
        publisher.disconnect()

    def retained(self) -> None:
        publisher, live = self.peer("retained-pub"), self.peer("retained-live")
        live.subscribe(("retained/a", 1))
        for payload, qos in (("one", 1), ("two", 2), ("three", 0), ("four", 1)):
            publisher.publish("retained/a", payload, qos=qos, retain=True)
            message = live.next()
            same((message.payload, message.retain), (payload, False))
        same(self._retained_for("retained-new", publisher), [("four", 1, True)])
        publisher.publish("retained/a", "", retain=True)
        same(live.next().payload, "")
        same(self._retained_for("retained-newer", publisher), [])
        live.disconnect()
        publisher.disconnect()

    def _retained_for(self, client_id: str, publisher: Peer) -> list[tuple[str, int, bool]]:
        """Payload, QoS and flag of what a new subscription gets before the next live message."""
        peer = self.peer(client_id)
        peer.subscribe(("retained/+", 1))
        publisher.publish("retained/b", "live")
        got = peer.before("live")
        peer.disconnect()
        return [(message.payload, message.qos, message.retain) for message in got]

    def will_sent(self) -> None:
        watcher = self.peer("will-watcher")
        watcher.subscribe(("will/#", 2))
        for qos in (0, 1, 2):
            self.peer(f"will-{qos}", will=Will("will/sent", f"gone {qos}", qos, retain=True)).cut()
            message = watcher.next()
            same((message.topic, message.payload, message.qos), ("will/sent", f"gone {qos}", qos))
        later = self.peer("will-later")
        later.subscribe(("will/sent", 1))
        message = later.next()
        same((message.payload, message.retain), ("gone 2", True))
        later.publish("will/sent", "", retain=True)
        later.disconnect()
        watcher.disconnect()

    def will_dropped(self) -> None:
        watcher = self.peer("no-will-watcher")
        watcher.subscribe(("no-will/#", 1))
        self.peer("no-will", will=Will("no-will/a", "gone")).disconnect()
        again = self.peer("no-will")  # the server is done with the older connection
        again.publish("no-will/b", "end")
        same(watcher.before("end"), [])
        again.disconnect()
        watcher.disconnect()
