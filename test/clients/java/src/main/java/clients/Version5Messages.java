package clients;

import static clients.Check.same;
import static clients.Peer.payloads;
import static clients.Server5.clean;

import com.hivemq.client.mqtt.mqtt5.datatypes.Mqtt5UserProperties;
import com.hivemq.client.mqtt.mqtt5.datatypes.Mqtt5UserProperty;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5ConnectRestrictions;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PayloadFormatIndicator;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.stream.IntStream;

/** What a message of MQTT 5 carries, and how many are under way. */
record Version5Messages(Server5 server) {
    private static final int MOST_UNACKED = 10;
    private static final byte[] CORRELATION = {0, 1, 127, -128, -1};
    private static final Mqtt5UserProperties USERS = Mqtt5UserProperties.of(
            Mqtt5UserProperty.of("b", "1"), Mqtt5UserProperty.of("a", "2"), Mqtt5UserProperty.of("b", "1"),
            Mqtt5UserProperty.of("", ""), Mqtt5UserProperty.of("\u00e9", "\u6771"));

    List<Check> checks() {
        return List.of(
                new Check("the properties of a message arrive unchanged and in order", this::properties),
                new Check("topic aliases stand for their topics both ways", this::aliases),
                new Check("Receive Maximum is never exceeded", this::receiveMaximum),
                new Check("a message that is too large for a client is left out", this::packetSize),
                new Check("acknowledgements carry reason codes", this::reasonCodes));
    }

    private static Mqtt5Publish withProperties(final int qos, final boolean retain, final String payload) {
        return Peer5.packet("props/a", qos, payload).extend()
                .retain(retain)
                .payloadFormatIndicator(Mqtt5PayloadFormatIndicator.UTF_8)
                .contentType("application/json")
                .responseTopic("answers/here")
                .correlationData(CORRELATION)
                .userProperties(USERS)
                .build();
    }

    private void properties() throws Exception {
        final Peer5 live = server.connect("props");
        final Peer5 away = server.session("props-away");
        final Peer5 publisher = server.connect("props-pub");
        live.subscribe("props/#", 2);
        away.subscribe("props/#", 2);
        away.disconnect();
        for (int qos = 0; qos <= 2; qos++) {
            publisher.publish(withProperties(qos, false, "sent at " + qos));
            sameProperties(live.next(), "sent at " + qos);
        }
        publisher.publish(withProperties(2, true, "kept"));
        sameProperties(live.next(), "kept");
        final Peer5 again = server.session("props-away");
        for (final String payload : List.of("sent at 1", "sent at 2", "kept")) {
            sameProperties(again.next(), payload);
        }
        final Peer5 late = server.connect("props-late");
        late.subscribe("props/#", 0);
        sameProperties(late.next(), "kept");
        publisher.retain("props/a", 1, "");
        for (final Peer5 peer : List.of(live, again, publisher, late)) {
            peer.disconnect();
        }
    }

    private static void sameProperties(final Message message, final String payload) {
        same(message.payload(), payload);
        final Mqtt5Publish got = message.packet();
        same(got.getUserProperties(), USERS);
        same(got.getPayloadFormatIndicator().orElseThrow(), Mqtt5PayloadFormatIndicator.UTF_8);
        same(got.getContentType().orElseThrow().toString(), "application/json");
        same(got.getResponseTopic().orElseThrow().toString(), "answers/here");
        same(got.getCorrelationData().orElseThrow(), ByteBuffer.wrap(CORRELATION));
    }

    /** The library uses aliases by itself, as far as the server allows them. */
    private void aliases() throws Exception {
        final Mqtt5ConnectRestrictions allowed = Mqtt5ConnectRestrictions.builder().topicAliasMaximum(5).build();
        final Peer5 subscriber = server.open("alias-sub", clean().restrictions(allowed).build());
        subscriber.subscribe("alias/#", 2);
        final Peer5 publisher = server.connect("alias-pub");
        same(publisher.connack.getRestrictions().getTopicAliasMaximum() > 0, true);
        final List<String> expected = new ArrayList<>();
        for (int number = 0; number < 60; number++) {
            final String topic = "alias/" + number / 3;
            expected.add(topic + " " + number);
            publisher.publish(topic, number % 3, topic + " " + number);
        }
        publisher.publish("alias/end", 2, "end");
        final List<Message> got = subscriber.before("end");
        same(payloads(got).stream().sorted().toList(), expected.stream().sorted().toList());
        for (final Message message : got) {
            same(message.payload().startsWith(message.topic() + " "), true);
        }
        subscriber.disconnect();
        publisher.disconnect();
    }

    private void receiveMaximum() throws Exception {
        final Peer5 publisher = server.connect("window-pub");
        for (int window = 1; window <= MOST_UNACKED; window++) {
            final Mqtt5ConnectRestrictions asked = Mqtt5ConnectRestrictions.builder().receiveMaximum(window).build();
            final Peer5 peer = server.open("window-" + window, clean().restrictions(asked).build(), null, true);
            final String topic = "window/" + window;
            peer.subscribe(topic, 2);
            final List<String> sent = IntStream.range(0, 3 * MOST_UNACKED).mapToObj(Integer::toString).toList();
            for (int number = 0; number < sent.size(); number++) {
                publisher.publish(topic, 1 + number / MOST_UNACKED % 2, sent.get(number));
            }
            peer.subscribe("window/asked-last", 0); // what would exceed the window comes before this answer
            same(takeWithin(peer, window, sent.size()), sent);
            peer.disconnect();
        }
        publisher.disconnect();
    }

    /** Holds back acknowledgements until the window is full, then gives one for each message. */
    private static List<String> takeWithin(final Peer5 peer, final int window, final int count) throws Exception {
        final Deque<Mqtt5Publish> held = new ArrayDeque<>();
        final List<String> got = new ArrayList<>();
        while (got.size() < count) {
            final Message message = peer.next();
            held.add(message.packet());
            got.add(message.payload());
            final int unacked = held.size() + peer.inbox.size();
            if (unacked > window) {
                throw new AssertionError(unacked + " unacked with a Receive Maximum of " + window);
            }
            while (!held.isEmpty() && (held.size() == window || got.size() == count)) {
                held.remove().acknowledge();
            }
        }
        return got;
    }

    private void packetSize() throws Exception {
        final Mqtt5ConnectRestrictions asked = Mqtt5ConnectRestrictions.builder().maximumPacketSize(200).build();
        final Peer5 peer = server.open("small", clean().restrictions(asked).build());
        peer.subscribe("small/#", 1);
        final Peer5 publisher = server.connect("small-pub");
        final List<String> sent = List.of("x".repeat(100), "y".repeat(300), "z".repeat(100), "end");
        publisher.publish("small/a", 1, false, sent);
        same(payloads(peer.before("end")), List.of(sent.get(0), sent.get(2)));
        peer.disconnect();
        publisher.disconnect();
    }

    private void reasonCodes() throws Exception {
        final Peer5 peer = server.connect("codes");
        for (int qos = 0; qos <= 2; qos++) {
            same(peer.subscribe("codes/" + qos, qos), qos);
        }
        for (int qos = 1; qos <= 2; qos++) {
            same(peer.publish(Peer5.packet("codes/0", qos, "x")), 0);
            final int code = peer.publish(Peer5.packet("codes/nobody", qos, "x"));
            same(code == 0 || code == 0x10, true);
        }
        same(peer.unsubscribeAll(List.of("codes/0", "codes/never")), List.of(0, 0x11));
        peer.disconnect();
    }
}
