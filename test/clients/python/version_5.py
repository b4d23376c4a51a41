"""What MQTT 5 has beside the rest: the list of its checks, those of sessions and of wills."""

import time

from checks import Check, same
from every_version import EveryVersion
from paho.mqtt.client import MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from peer import Peer, Will, properties_of
from version_5_messages import Version5Messages
from version_5_subscriptions import Version5Subscriptions

# What has to pass before a session or message of one second has surely expired.
EXPIRY_SECONDS = 2.1
HOUR_SECONDS = 3_600
# Of a will; enough for another to be back in time. A timer may be a little early.
DELAY_SECONDS = 2
LEAST_DELAY_SECONDS = 1.9


class Version5(Version5Messages, Version5Subscriptions, EveryVersion):
    """All checks of MQTT 5; what has to expire is prepared first and looked at last."""

    def __init__(self, port: int) -> None:
        super().__init__(port, MQTTv5)

    def checks(self) -> list[Check]:
        prepared = [("what is to expire is prepared", self.prepare_expiry)]
        late = [
            ("message expiry arrives as what remains, expired messages do not", self.message_expiry),
            ("a session lives as long as its expiry interval", self.session_expiry),
        ]
        sessions = [
            ("the session expiry of a DISCONNECT counts", self.session_ended),
            ("an empty client id is given one", self.assigned),
            ("a takeover tells the older connection 0x8E", self.takeover),
            ("an authentication method is refused with 0x8C", self.authentication),
            ("a will carries its properties", self.will_properties),
            ("a will is sent after DISCONNECT 0x04", self.will_asked_for),
            ("a delayed will waits, and is not sent when the session resumes", self.will_delayed),
        ]
        own = [*self.message_checks(), *self.subscription_checks(), *sessions]
        return [*prepared, *EveryVersion.checks(self), *own, *late]

    def session(self, client_id: str, expiry: int = HOUR_SECONDS, **options) -> Peer:
        properties = properties_of("CONNECT", SessionExpiryInterval=expiry)
        return Peer(self.port, self.version, client_id, clean=False, **options).connect(properties)

    # ---- time passes

    def prepare_expiry(self) -> None:
        away = self.session("expiry-away")
        away.subscribe(("expiry/#", 1))
        away.disconnect()
        publisher = self.peer("expiry-pub")
        for payload, seconds in (("short", 1), ("long", 100), ("end", None)):
            expiry = {} if seconds is None else {"MessageExpiryInterval": seconds}
            publisher.publish("expiry/a", payload, properties=properties_of("PUBLISH", **expiry))
        publisher.disconnect()
        self.session("session-short", 1).disconnect()
        self.session("session-long", 100).disconnect()
        self.prepared_at = time.monotonic()

    def _wait_for_expiry(self) -> None:
        time.sleep(max(0.0, self.prepared_at + EXPIRY_SECONDS - time.monotonic()))

    def message_expiry(self) -> None:
        self._wait_for_expiry()
        away = self.session("expiry-away")
        got = away.before("end")
        same([message.payload for message in got], ["long"])
        remaining = got[0].properties.MessageExpiryInterval
        most = 100 - int(EXPIRY_SECONDS)
        if not 50 < remaining <= most:
            raise AssertionError(f"{remaining} seconds remain, expected {most} at most")
        away.disconnect()

    def session_expiry(self) -> None:
        self._wait_for_expiry()
        for client_id, present in (("session-short", False), ("session-long", True)):
            peer = self.session(client_id)
            same((client_id, peer.session_present), (client_id, present))
            peer.disconnect()

    # ---- sessions

    def session_ended(self) -> None:
        first = self.session("session-ended")
        first.disconnect()
        second = self.session("session-ended")
        same(second.session_present, True)
        second.disconnect(properties=properties_of("DISCONNECT", SessionExpiryInterval=0))
        for _ in range(2):  # with an interval of 0, the session ends with its connection
            peer = self.session("session-ended", 0)
            same(peer.session_present, False)
            peer.disconnect()

    def assigned(self) -> None:
        one, other = self.peer(""), self.peer("")
        names = {peer.connack.AssignedClientIdentifier for peer in (one, other)}
        same((len(names), "" in names), (2, False))
        one.disconnect()
        other.disconnect()

    def takeover(self) -> None:
        older = self.session("takeover")
        older.subscribe(("takeover/#", 1))
        newer = self.session("takeover")
        same(older.ended().value, 0x8E)
        same(newer.session_present, True)
        newer.publish("takeover/a", "end")
        same(newer.before("end"), [])
        newer.disconnect()

    def authentication(self) -> None:
        peer = Peer(self.port, self.version, "authentication")
        _flags, code, _properties = peer.open(properties_of("CONNECT", AuthenticationMethod="unknown"))
        same(code.value, 0x8C)

    # ---- wills

    def will_properties(self) -> None:
        watcher = self.peer("will-properties-watcher")
        watcher.subscribe(("will-properties/#", 2))
        users = [("b", "1"), ("a", "2"), ("b", "1")]
        properties = properties_of("WILLMESSAGE", ContentType="text/plain", ResponseTopic="answers/here",
                                   CorrelationData=b"\x00\xff", PayloadFormatIndicator=1,
                                   MessageExpiryInterval=500, WillDelayInterval=0, UserProperty=users)
        self.peer("will-properties", will=Will("will-properties/a", "gone", 2, properties=properties)).cut()
        got = watcher.next()
        same((got.payload, got.qos, got.properties.ContentType), ("gone", 2, "text/plain"))
        same(got.properties.UserProperty, users)
        same((got.properties.ResponseTopic, got.properties.CorrelationData), ("answers/here", b"\x00\xff"))
        same(got.properties.PayloadFormatIndicator, 1)
        same(495 <= got.properties.MessageExpiryInterval <= 500, True)
        same(hasattr(got.properties, "WillDelayInterval"), False)
        watcher.disconnect()

    def will_asked_for(self) -> None:
        watcher = self.peer("will-asked-watcher")
        watcher.subscribe(("will-asked/#", 1))
        peer = self.peer("will-asked", will=Will("will-asked/a", "gone"))
        peer.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=0x04))
        same(watcher.next().payload, "gone")
        watcher.disconnect()

    def will_delayed(self) -> None:
        watcher = self.peer("will-delayed-watcher")
        watcher.subscribe(("will-delayed/#", 1))
        properties = properties_of("WILLMESSAGE", WillDelayInterval=DELAY_SECONDS)
        late, will = (Will("will-delayed/a", payload, properties=properties) for payload in ("late", "gone"))
        self.session("will-delayed-1", will=late).cut()
        again = self.session("will-delayed-1")
        peer = self.session("will-delayed-2", will=will)
        cut_at = time.monotonic()
        peer.cut()
        same(watcher.next().payload, "gone")
        same(time.monotonic() - cut_at >= LEAST_DELAY_SECONDS, True)
        again.publish("will-delayed/b", "end")
        same(watcher.before("end"), [])
        again.disconnect()
        watcher.disconnect()
