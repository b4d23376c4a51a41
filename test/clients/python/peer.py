"""One connection of the client library under test, with waits in place of callbacks."""

import queue
import socket
import threading
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# How long to wait for what should come at once; it only passes on a failure.
DEADLINE_SECONDS = 15


@dataclass(frozen=True)
class Message:
    """A message that arrived; `properties` is None before MQTT 5."""

    topic: str
    payload: str
    qos: int
    retain: bool
    packet_id: int
    properties: Properties | None


@dataclass(frozen=True)
class Will:
    """What the server is to publish when the connection ends without goodbye."""

    topic: str
    payload: str
    qos: int = 1
    retain: bool = False
    properties: Properties | None = None


def properties_of(packet: str, **values) -> Properties:
    """Properties of a packet such as `CONNECT`, by the names of the library."""
    properties = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class Peer:
    """A client; `connect` waits for CONNACK, `subscribe` for SUBACK, `publish` for its acknowledgements."""

    def __init__(self, port: int, version: int, client_id: str = "", *, clean: bool = True,
                 will: Will | None = None, manual_ack: bool = False) -> None:
        self.version = version
        self._port = port
        self._clean = clean
        self._connack: queue.Queue = queue.Queue()
        self._acks: dict[int, queue.Queue] = {}
        self._acks_lock = threading.Lock()
        self._messages: queue.Queue[Message] = queue.Queue()
        self._ends: queue.Queue = queue.Queue()
        before_5 = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version,
                                  reconnect_on_failure=False, manual_ack=manual_ack, **before_5)
        if will:
            self.client.will_set(will.topic, will.payload, will.qos, will.retain, will.properties)
        self._listen()

    def _listen(self) -> None:
        client = self.client
        client.on_connect = lambda _c, _u, flags, code, props: self._connack.put((flags, code, props))
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._ends.put(code)
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._ack(mid).put(codes)
        client.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._ack(mid).put(codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._ack(mid).put(code)
        client.on_socket_open = lambda _c, _u, opened: opened.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.on_message = lambda _c, _u, got: self._messages.put(
            Message(got.topic, got.payload.decode(), got.qos, got.retain, got.mid,
                    got.properties if self.version == mqtt.MQTTv5 else None))

    def _ack(self, packet_id: int) -> queue.Queue:
        with self._acks_lock:
            return self._acks.setdefault(packet_id, queue.Queue())

    def _await_ack(self, packet_id: int):
        answer = self._ack(packet_id).get(timeout=DEADLINE_SECONDS)
        with self._acks_lock:
            del self._acks[packet_id]
        return answer

    def open(self, properties: Properties | None = None):
        """Connects and returns (flags, reason code, properties) of CONNACK, also when it refuses."""
        start = {"clean_start": self._clean, "properties": properties} if self.version == mqtt.MQTTv5 else {}
        self.client.connect("127.0.0.1", self._port, keepalive=30, **start)
        self.client.loop_start()
        return self._connack.get(timeout=DEADLINE_SECONDS)

    def connect(self, properties: Properties | None = None) -> "Peer":
        """Connects; a refusal is an error."""
        flags, code, self.connack = self.open(properties)
        if code.is_failure:
            raise AssertionError(f"the connection was refused: {code}")
        self.session_present = flags.session_present
        return self

    def subscribe(self, *filters, properties: Properties | None = None) -> list[int]:
        """Subscribes to (filter, QoS or options) pairs; returns the reason codes."""
        result, packet_id = self.client.subscribe(list(filters), properties=properties)
        assert result == mqtt.MQTT_ERR_SUCCESS, result
        return [code.value for code in self._await_ack(packet_id)]

    def unsubscribe(self, *filters: str) -> list[int]:
        """Unsubscribes; returns the reason codes (none before MQTT 5)."""
        result, packet_id = self.client.unsubscribe(list(filters))
        assert result == mqtt.MQTT_ERR_SUCCESS, result
        return [code.value for code in self._await_ack(packet_id)]

    def publish(self, topic: str, *payloads: str, qos: int = 1, retain: bool = False,
                properties: Properties | None = None) -> list[int]:
        """Publishes; returns the reason code of each acknowledgement."""
        sent = [self.client.publish(topic, payload, qos, retain, properties) for payload in payloads]
        for info in sent:
            assert info.rc == mqtt.MQTT_ERR_SUCCESS, info.rc
        return [self._await_ack(info.mid).value for info in sent]

    def next(self) -> Message:
        """The next message."""
        try:
            return self._messages.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            raise AssertionError("no message came") from None

    def take(self, count: int) -> list[Message]:
        """The next messages."""
        return [self.next() for _ in range(count)]

    def waiting(self) -> int:
        """How many messages have arrived and are not taken."""
        return self._messages.qsize()

    def before(self, marker: str) -> list[Message]:
        """What arrives before the message with this payload, which is taken as well."""
        return list(iter(lambda: _unless(self.next(), marker), None))

    def ended(self):
        """Waits for the end of the connection; returns its reason code."""
        return self._ends.get(timeout=DEADLINE_SECONDS)

    def cut(self) -> None:
        """Ends the connection without a DISCONNECT."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.ended()
        self.client.loop_stop()

    def disconnect(self, reason=None, properties: Properties | None = None) -> None:
        """Says goodbye."""
        self.client.disconnect(reason, properties)
        self.ended()
        self.client.loop_stop()


def _unless(message: Message, marker: str) -> Message | None:
    return None if message.payload == marker else message
