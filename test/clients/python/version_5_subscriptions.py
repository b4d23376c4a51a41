"""The options of a subscription of MQTT 5."""

from checks import Check, same
from paho.mqtt.subscribeoptions import SubscribeOptions
from peer import Peer, properties_of


class Version5Subscriptions:
    """Mixed into the checks of MQTT 5."""

    def subscription_checks(self) -> list[Check]:
        return [
            ("a message names the subscriptions it comes from", self.identifiers),
            ("No Local keeps own messages away", self.no_local),
            ("Retain As Published keeps the flag of live messages", self.retain_as_published),
            ("Retain Handling says when retained messages come", self.retain_handling),
        ]

    def identifiers(self) -> None:
        peer, publisher = self.peer("ids"), self.peer("ids-pub")
        for topic_filter, identifier in (("ids/#", 7), ("ids/+", 268_435_455)):
            asks = properties_of("SUBSCRIBE", SubscriptionIdentifier=identifier)
            peer.subscribe((topic_filter, 1), properties=asks)
        peer.subscribe(("ids/end", 1), ("without/#", 1))
        publisher.publish("ids/a", "both")
        publisher.publish("ids/a/b", "one")
        publisher.publish("without/a", "none")
        publisher.publish("without/a", "end")
        got: dict[str, set[int]] = {}
        for message in peer.before("end"):
            told = getattr(message.properties, "SubscriptionIdentifier", [])
            got.setdefault(message.payload, set()).update(told)
        same(got, {"both": {7, 268_435_455}, "one": {7}, "none": set()})
        peer.disconnect()
        publisher.disconnect()

    def no_local(self) -> None:
        peer, publisher = self.peer("no-local"), self.peer("no-local-pub")
        peer.subscribe(("no-local/#", SubscribeOptions(qos=2, noLocal=True)))
        for qos in (0, 1, 2):
            peer.publish("no-local/a", f"own {qos}", qos=qos)
            publisher.publish("no-local/a", f"other {qos}", qos=qos)
        publisher.publish("no-local/a", "end", qos=2)
        same([message.payload for message in peer.before("end")], ["other 0", "other 1", "other 2"])
        peer.disconnect()
        publisher.disconnect()

    def retain_as_published(self) -> None:
        publisher = self.peer("as-published-pub")
        for keeps in (True, False):
            peer = self.peer(f"as-published-{keeps}")
            peer.subscribe(("as-published/#", SubscribeOptions(qos=1, retainAsPublished=keeps)))
            for qos in (0, 1, 2):
                publisher.publish("as-published/a", "kept", qos=qos, retain=True)
                same(peer.next().retain, keeps)
                publisher.publish("as-published/a", "not kept", qos=qos)
                same(peer.next().retain, False)
            publisher.publish("as-published/a", "", retain=True)
            peer.disconnect()
        publisher.disconnect()

    def retain_handling(self) -> None:
        publisher = self.peer("handling-pub")
        publisher.publish("handling/a", "kept", retain=True)
        for handling, expected in ((0, [True, True]), (1, [True, False]), (2, [False, False])):
            peer = self.peer(f"handling-{handling}")
            got = [self._gets_retained(peer, publisher, handling) for _ in expected]
            same((handling, got), (handling, expected))
            peer.disconnect()
        publisher.publish("handling/a", "", retain=True)
        publisher.disconnect()

    def _gets_retained(self, peer: Peer, publisher: Peer, handling: int) -> bool:
        """Subscribes, again or for the first time; tells whether the retained message comes."""
        peer.subscribe(("handling/#", SubscribeOptions(qos=1, retainHandling=handling)))
        publisher.publish("handling/b", "end")
        got = [message.payload for message in peer.before("end")]
        same(got in ([], ["kept"]), True)
        return len(got) == 1
