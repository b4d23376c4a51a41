package clients;

import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.mqtt5.Mqtt5Client;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5Connect;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5ConnectBuilder;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5WillPublish;
import java.util.concurrent.TimeUnit;

/** A server that is reached with the client of HiveMQ, in MQTT 5. */
record Server5(int port) implements Server {
    static final int HOUR_SECONDS = 3_600;
    private static final int KEEP_ALIVE_SECONDS = 30;

    @Override
    public boolean tellsSessionPresent() {
        return true;
    }

    @Override
    public Peer5 connect(final String clientId, final boolean durable, final Will will) throws Exception {
        final Mqtt5ConnectBuilder how = durable ? durable(HOUR_SECONDS) : clean();
        if (will == null) {
            return open(clientId, how.build());
        }
        return open(clientId, how.willPublish(publishOf(will).asWill()).build(), new Relay(port));
    }

    @Override
    public Peer5 connect(final String clientId) throws Exception {
        return connect(clientId, false, null);
    }

    @Override
    public Peer5 session(final String clientId) throws Exception {
        return connect(clientId, true, null);
    }

    /** A CONNECT without a session. */
    static Mqtt5ConnectBuilder clean() {
        return Mqtt5Connect.builder().cleanStart(true).keepAlive(KEEP_ALIVE_SECONDS);
    }

    /** A CONNECT of a session that outlives its connection by so many seconds. */
    static Mqtt5ConnectBuilder durable(final long expirySeconds) {
        return Mqtt5Connect.builder()
                .cleanStart(false)
                .sessionExpiryInterval(expirySeconds)
                .keepAlive(KEEP_ALIVE_SECONDS);
    }

    Peer5 open(final String clientId, final Mqtt5Connect how) throws Exception {
        return open(clientId, how, null);
    }

    /** Connects through a relay, by which the connection can be cut. */
    Peer5 open(final String clientId, final Mqtt5Connect how, final Relay relay) throws Exception {
        return open(clientId, how, relay, false);
    }

    /** Connects; with manual acknowledgements, {@code Message.packet().acknowledge()} is what acknowledges. */
    Peer5 open(final String clientId, final Mqtt5Connect how, final Relay relay, final boolean manualAcks)
            throws Exception {
        final Peer5 peer = new Peer5(relay);
        peer.client = Mqtt5Client.builder()
                .identifier(clientId)
                .serverHost("127.0.0.1")
                .serverPort(relay == null ? port : relay.localPort())
                .addDisconnectedListener(peer::ended)
                .buildAsync();
        peer.client.publishes(MqttGlobalPublishFilter.ALL, peer::received, manualAcks);
        peer.connack = peer.client.connect(how).get(Peer.DEADLINE_SECONDS, TimeUnit.SECONDS);
        return peer;
    }

    static Mqtt5Publish publishOf(final Will will) {
        return Mqtt5Publish.builder()
                .topic(will.topic())
                .payload(Peer5.bytes(will.payload()))
                .qos(Peer5.QOS[will.qos()])
                .retain(will.retain())
                .build();
    }
}
