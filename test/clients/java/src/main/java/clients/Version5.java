package clients;

import static clients.Check.same;
import static clients.Peer.payloads;
import static clients.Server5.HOUR_SECONDS;
import static clients.Server5.durable;

import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt5.datatypes.Mqtt5UserProperties;
import com.hivemq.client.mqtt.mqtt5.datatypes.Mqtt5UserProperty;
import com.hivemq.client.mqtt.mqtt5.message.disconnect.Mqtt5Disconnect;
import com.hivemq.client.mqtt.mqtt5.message.disconnect.Mqtt5DisconnectReasonCode;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PayloadFormatIndicator;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5WillPublish;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** All checks of MQTT 5; what has to expire is prepared first and looked at last. */
final class Version5 {
    /** What has to pass before a session or message of one second has surely expired. */
    private static final long EXPIRY_MS = 2_100;
    /** Of a will; enough for another to be back in time. A timer may be a little early. */
    private static final long DELAY_SECONDS = 2;
    private static final long LEAST_DELAY_MS = 1_900;

    private final Server5 server;
    private long preparedAt;

    Version5(final Server5 server) {
        this.server = server;
    }

    List<Check> checks() {
        final List<Check> checks = new ArrayList<>();
        checks.add(new Check("what is to expire is prepared", this::prepareExpiry));
        checks.addAll(new EveryVersion(server).checks());
        checks.addAll(new Version5Messages(server).checks());
        checks.addAll(new Version5Subscriptions(server).checks());
        checks.add(new Check("the session expiry of a DISCONNECT counts", this::sessionEnded));
        checks.add(new Check("an empty client id is given one", this::assigned));
        checks.add(new Check("a takeover tells the older connection 0x8E", this::takeover));
        checks.add(new Check("a will carries its properties", this::willProperties));
        checks.add(new Check("a will is sent after DISCONNECT 0x04", this::willAskedFor));
        checks.add(new Check("a delayed will waits, and is not sent when the session resumes", this::willDelayed));
        checks.add(new Check("message expiry arrives as what remains, expired messages do not", this::messageExpiry));
        checks.add(new Check("a session lives as long as its expiry interval", this::sessionExpiry));
        return checks;
    }

    // ---- time passes

    private void prepareExpiry() throws Exception {
        final Peer5 away = server.session("expiry-away");
        away.subscribe("expiry/#", 1);
        away.disconnect();
        final Peer5 publisher = server.connect("expiry-pub");
        publisher.publish(Peer5.packet("expiry/a", 1, "short").extend().messageExpiryInterval(1).build());
        publisher.publish(Peer5.packet("expiry/a", 1, "long").extend().messageExpiryInterval(100).build());
        publisher.publish(Peer5.packet("expiry/a", 1, "end"));
        publisher.disconnect();
        server.open("session-short", durable(1).build()).disconnect();
        server.open("session-long", durable(100).build()).disconnect();
        preparedAt = System.nanoTime();
    }

    private void waitForExpiry() throws InterruptedException {
        final long passedMs = (System.nanoTime() - preparedAt) / 1_000_000;
        Thread.sleep(Math.max(0, EXPIRY_MS - passedMs));
    }

    private void messageExpiry() throws Exception {
        waitForExpiry();
        final Peer5 away = server.session("expiry-away");
        final List<Message> got = away.before("end");
        same(payloads(got), List.of("long"));
        final long remaining = got.get(0).packet().getMessageExpiryInterval().orElseThrow();
        if (remaining <= 50 || remaining > 98) {
            throw new AssertionError(remaining + " seconds remain, expected 98 at most");
        }
        away.disconnect();
    }

    private void sessionExpiry() throws Exception {
        waitForExpiry();
        final Peer5 gone = server.session("session-short");
        same(gone.sessionPresent(), false);
        gone.disconnect();
        final Peer5 present = server.session("session-long");
        same(present.sessionPresent(), true);
        present.disconnect();
    }

    // ---- sessions

    private void sessionEnded() throws Exception {
        server.session("session-ended").disconnect();
        final Peer5 second = server.session("session-ended");
        same(second.sessionPresent(), true);
        second.disconnect(Mqtt5Disconnect.builder().sessionExpiryInterval(0).build());
        for (int time = 0; time < 2; time++) { // with an interval of 0, the session ends with its connection
            final Peer5 peer = server.open("session-ended", durable(0).build());
            same(peer.sessionPresent(), false);
            peer.disconnect();
        }
    }

    private void assigned() throws Exception {
        final Peer5 one = server.connect("");
        final Peer5 other = server.connect("");
        final String name = one.connack.getAssignedClientIdentifier().orElseThrow().toString();
        same(name.isEmpty(), false);
        same(name.equals(other.connack.getAssignedClientIdentifier().orElseThrow().toString()), false);
        one.disconnect();
        other.disconnect();
    }

    private void takeover() throws Exception {
        final Peer5 older = server.session("takeover");
        older.subscribe("takeover/#", 1);
        final Peer5 newer = server.session("takeover");
        same(older.end(), 0x8E);
        same(newer.sessionPresent(), true);
        newer.publish("takeover/a", 1, "end");
        same(payloads(newer.before("end")), List.of());
        newer.disconnect();
    }

    // ---- wills

    private void willProperties() throws Exception {
        final Peer5 watcher = server.connect("will-properties-watcher");
        watcher.subscribe("will-properties/#", 2);
        final Mqtt5UserProperties users = Mqtt5UserProperties.of(
                Mqtt5UserProperty.of("b", "1"), Mqtt5UserProperty.of("a", "2"), Mqtt5UserProperty.of("b", "1"));
        final Mqtt5WillPublish will = Mqtt5WillPublish.builder().topic("will-properties/a").qos(MqttQos.EXACTLY_ONCE)
                .payload(Peer5.bytes("gone")).payloadFormatIndicator(Mqtt5PayloadFormatIndicator.UTF_8)
                .messageExpiryInterval(500).contentType("text/plain").responseTopic("answers/here")
                .correlationData(new byte[] {0, -1}).userProperties(users).delayInterval(0).build();
        server.open("will-properties", Server5.clean().willPublish(will).build(), new Relay(server.port())).cut();
        final Message message = watcher.next();
        same(message.payload(), "gone");
        same(message.qos(), 2);
        final Mqtt5Publish got = message.packet();
        same(got.getUserProperties(), users);
        same(got.getContentType().orElseThrow().toString(), "text/plain");
        same(got.getResponseTopic().orElseThrow().toString(), "answers/here");
        same(got.getCorrelationData().orElseThrow(), ByteBuffer.wrap(new byte[] {0, -1}));
        same(got.getPayloadFormatIndicator().orElseThrow(), Mqtt5PayloadFormatIndicator.UTF_8);
        final long remaining = got.getMessageExpiryInterval().orElseThrow();
        same(remaining >= 495 && remaining <= 500, true);
        watcher.disconnect();
    }

    private void willAskedFor() throws Exception {
        final Peer5 watcher = server.connect("will-asked-watcher");
        watcher.subscribe("will-asked/#", 1);
        final Peer5 peer = server.connect("will-asked", false, new Will("will-asked/a", "gone", 1, false));
        final Mqtt5DisconnectReasonCode reason = Mqtt5DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE;
        peer.disconnect(Mqtt5Disconnect.builder().reasonCode(reason).build());
        same(watcher.next().payload(), "gone");
        watcher.disconnect();
    }

    private void willDelayed() throws Exception {
        final Peer5 watcher = server.connect("will-delayed-watcher");
        watcher.subscribe("will-delayed/#", 1);
        leave("will-delayed-1", "late");
        final Peer5 again = server.session("will-delayed-1");
        final long cutAt = System.nanoTime();
        leave("will-delayed-2", "gone");
        same(watcher.next().payload(), "gone");
        same((System.nanoTime() - cutAt) / 1_000_000 >= LEAST_DELAY_MS, true);
        again.publish("will-delayed/b", 1, "end");
        same(payloads(watcher.before("end")), List.of());
        again.disconnect();
        watcher.disconnect();
    }

    private void leave(final String clientId, final String payload) throws Exception {
        final Mqtt5WillPublish will = Mqtt5WillPublish.builder().topic("will-delayed/a").qos(MqttQos.AT_LEAST_ONCE)
                .payload(Peer5.bytes(payload)).delayInterval(DELAY_SECONDS).build();
        server.open(clientId, durable(HOUR_SECONDS).willPublish(will).build(), new Relay(server.port())).cut();
    }
}
