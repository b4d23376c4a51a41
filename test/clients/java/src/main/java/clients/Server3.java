package clients;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.IMqttToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallback;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttException;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** A server that is reached with paho; level is 3 for MQTT 3.1 and 4 for 3.1.1. */
record Server3(int port, int level) implements Server {
    private static final long DEADLINE_MS = Peer.DEADLINE_SECONDS * 1_000L;
    private static final int MAX_INFLIGHT = 1_000;

    @Override
    public boolean tellsSessionPresent() {
        return level > 3;
    }

    @Override
    public Peer connect(final String clientId, final boolean durable, final Will will) throws Exception {
        final Relay relay = will == null ? null : new Relay(port);
        final String url = "tcp://127.0.0.1:" + (relay == null ? port : relay.localPort());
        final Peer3 peer = new Peer3(new MqttAsyncClient(url, clientId, new MemoryPersistence()), relay);
        final MqttConnectOptions options = new MqttConnectOptions();
        options.setMqttVersion(level);
        options.setCleanSession(!durable);
        options.setMaxInflight(MAX_INFLIGHT);
        options.setSocketFactory(new PromptSockets());
        if (will != null) {
            options.setWill(will.topic(), bytes(will.payload()), will.qos(), will.retain());
        }
        peer.connect(options);
        return peer;
    }

    private static byte[] bytes(final String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static final class Peer3 extends Peer implements MqttCallback {
        private final MqttAsyncClient client;
        private final Relay relay;
        private final CountDownLatch lost = new CountDownLatch(1);
        private boolean sessionPresent;

        Peer3(final MqttAsyncClient client, final Relay relay) {
            this.client = client;
            this.relay = relay;
            client.setCallback(this);
        }

        void connect(final MqttConnectOptions options) throws MqttException {
            final IMqttToken token = client.connect(options);
            token.waitForCompletion(DEADLINE_MS);
            sessionPresent = token.getSessionPresent();
        }

        @Override
        public void messageArrived(final String topic, final MqttMessage got) {
            final String payload = new String(got.getPayload(), StandardCharsets.UTF_8);
            inbox.add(new Message(topic, payload, got.getQos(), got.isRetained(), null));
        }

        @Override
        public void connectionLost(final Throwable cause) {
            lost.countDown();
        }

        @Override
        public void deliveryComplete(final IMqttDeliveryToken token) {
            // who publishes waits for the token itself
        }

        @Override
        boolean sessionPresent() {
            return sessionPresent;
        }

        @Override
        int subscribe(final String filter, final int qos) throws MqttException {
            final IMqttToken token = client.subscribe(filter, qos);
            token.waitForCompletion(DEADLINE_MS);
            return token.getGrantedQos()[0];
        }

        @Override
        void unsubscribe(final String filter) throws MqttException {
            client.unsubscribe(filter).waitForCompletion(DEADLINE_MS);
        }

        @Override
        void publish(final String topic, final int qos, final boolean retain, final List<String> payloads)
                throws MqttException {
            final List<IMqttToken> tokens = new ArrayList<>();
            for (final String payload : payloads) {
                tokens.add(client.publish(topic, bytes(payload), qos, retain));
            }
            for (final IMqttToken token : tokens) {
                token.waitForCompletion(DEADLINE_MS);
            }
        }

        @Override
        void cut() throws Exception {
            relay.cut();
            if (!lost.await(Peer.DEADLINE_SECONDS, TimeUnit.SECONDS)) {
                throw new AssertionError("the connection did not end");
            }
        }

        @Override
        void disconnect() throws MqttException {
            client.disconnect().waitForCompletion(DEADLINE_MS);
            client.close();
        }
    }
}
