"""What a message of MQTT 5 carries, and how many are under way."""

from checks import Check, same
from peer import Message, Peer, properties_of

USERS = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("\u00e9", "\u6771")]
MOST_UNACKED = 10


class Version5Messages:
    """Mixed into the checks of MQTT 5."""

    def message_checks(self) -> list[Check]:
        return [
            ("the properties of a message arrive unchanged and in order", self.properties),
            ("topic aliases stand for their topics both ways", self.aliases),
            ("Receive Maximum is never exceeded", self.receive_maximum),
            ("a message that is too large for a client is left out", self.packet_size),
            ("acknowledgements carry reason codes", self.reason_codes),
        ]

    def properties(self) -> None:
        live, away, publisher = self.peer("props"), self.session("props-away"), self.peer("props-pub")
        live.subscribe(("props/#", 2))
        away.subscribe(("props/#", 2))
        away.disconnect()
        sent = properties_of("PUBLISH", PayloadFormatIndicator=1, ContentType="application/json",
                             ResponseTopic="answers/here", CorrelationData=bytes(range(256)),
                             UserProperty=USERS)
        for qos in (0, 1, 2):
            publisher.publish("props/a", f"{{\"qos\":{qos}}}", qos=qos, properties=sent)
            self._same_properties(live.next(), f"{{\"qos\":{qos}}}")
        publisher.publish("props/a", "{}", qos=2, retain=True, properties=sent)
        self._same_properties(live.next(), "{}")
        again = self.session("props-away")
        for payload in ("{\"qos\":1}", "{\"qos\":2}", "{}"):
            self._same_properties(again.next(), payload)
        late = self.peer("props-late")
        late.subscribe(("props/#", 0))
        self._same_properties(late.next(), "{}")
        publisher.publish("props/a", "", retain=True)
        for peer in (live, again, publisher, late):
            peer.disconnect()

    def _same_properties(self, got: Message, payload: str) -> None:
        same(got.payload, payload)
        properties = got.properties
        same(properties.UserProperty, USERS)
        same((properties.PayloadFormatIndicator, properties.ContentType, properties.ResponseTopic),
             (1, "application/json", "answers/here"))
        same(properties.CorrelationData, bytes(range(256)))

    def aliases(self) -> None:
        asks = properties_of("CONNECT", TopicAliasMaximum=5)
        subscriber = Peer(self.port, self.version, "alias-sub").connect(asks)
        subscriber.subscribe(("alias/#", 1))
        publisher = self.peer("alias-pub")
        most = publisher.connack.TopicAliasMaximum
        same(most > 0, True)
        for alias, topic in ((1, "alias/one"), (most, "alias/two"), (1, "alias/three")):
            properties = properties_of("PUBLISH", TopicAlias=alias)
            publisher.publish(topic, f"{topic} named", properties=properties)
            for qos in (0, 1, 2):
                publisher.publish("", f"{topic} {qos}", qos=qos, properties=properties)
        publisher.publish("alias/end", "end")
        topics: dict[int, str] = {}
        got = [(_topic_of(message, topics), message.payload) for message in subscriber.before("end")]
        expected = [(topic, f"{topic} {what}") for topic in ("alias/one", "alias/two", "alias/three")
                    for what in ("named", 0, 1, 2)]
        same(sorted(got), sorted(expected))
        same(all(alias <= 5 for alias in topics), True)
        subscriber.disconnect()
        publisher.disconnect()

    def receive_maximum(self) -> None:
        publisher = self.peer("window-pub")
        for window in range(1, MOST_UNACKED + 1):
            asks = properties_of("CONNECT", ReceiveMaximum=window)
            peer = Peer(self.port, self.version, f"window-{window}", manual_ack=True).connect(asks)
            peer.subscribe((f"window/{window}/#", 2))
            sent = [f"{window} {number}" for number in range(3 * MOST_UNACKED)]
            for number, payload in enumerate(sent):
                publisher.publish(f"window/{window}/a", payload, qos=_qos_of(number))
            peer.subscribe(("window/asked-last", 0))  # what would exceed the window comes before this answer
            self._take_within(peer, window, sent)
            peer.disconnect()
        publisher.disconnect()

    def _take_within(self, peer: Peer, window: int, sent: list[str]) -> None:
        """Holds back acknowledgements until the window is full, then gives one for each message."""
        held: list[Message] = []
        got: list[Message] = []
        while len(got) < len(sent):
            message = peer.next()
            got.append(message)
            held.append(message)
            unacked = len(held) + peer.waiting()
            if unacked > window:
                raise AssertionError(f"{unacked} unacked with a Receive Maximum of {window}")
            while held and (len(held) == window or len(got) == len(sent)):
                first = held.pop(0)
                peer.client.ack(first.packet_id, first.qos)
        # the library hands over a message of QoS 2 at PUBREL, so that one of QoS 1 may overtake it there
        for qos in (1, 2):
            same([message.payload for message in got if message.qos == qos],
                 [payload for number, payload in enumerate(sent) if _qos_of(number) == qos])

    def packet_size(self) -> None:
        peer = Peer(self.port, self.version, "small").connect(properties_of("CONNECT", MaximumPacketSize=200))
        peer.subscribe(("small/#", 1))
        publisher = self.peer("small-pub")
        publisher.publish("small/a", "x" * 100, "y" * 300, "z" * 100, "end")
        same([message.payload[0] for message in peer.before("end")], ["x", "z"])
        peer.disconnect()
        publisher.disconnect()

    def reason_codes(self) -> None:
        peer = self.peer("codes")
        same(peer.subscribe(("codes/0", 0), ("codes/1", 1), ("codes/2", 2)), [0, 1, 2])
        for qos in (1, 2):
            same(peer.publish("codes/0", "x", qos=qos), [0])
            same(peer.publish("codes/nobody", "x", qos=qos)[0] in (0x00, 0x10), True)
        same(peer.unsubscribe("codes/0", "codes/never"), [0x00, 0x11])
        is_shared = getattr(peer.connack, "SharedSubscriptionAvailable", 1) == 1
        same(peer.subscribe(("$share/group/codes/s", 1)), [1 if is_shared else 0x9E])
        peer.disconnect()


def _qos_of(number: int) -> int:
    """Ten messages of QoS 1, ten of QoS 2, ten of QoS 1."""
    return 1 + number // MOST_UNACKED % 2


def _topic_of(message: Message, topics: dict[int, str]) -> str:
    """The topic, also when an alias stands for it; the library leaves this to its user."""
    alias = getattr(message.properties, "TopicAlias", None)
    if alias is None:
        return message.topic
    if message.topic:
        topics[alias] = message.topic
    return topics[alias]
