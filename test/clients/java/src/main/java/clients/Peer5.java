package clients;

import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.lifecycle.MqttClientDisconnectedContext;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.exceptions.Mqtt5DisconnectException;
import com.hivemq.client.mqtt.mqtt5.message.connect.connack.Mqtt5ConnAck;
import com.hivemq.client.mqtt.mqtt5.message.disconnect.Mqtt5Disconnect;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PublishResult;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PublishResult.Mqtt5Qos1Result;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PublishResult.Mqtt5Qos2Result;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.Mqtt5Subscribe;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.Mqtt5Subscription;
import com.hivemq.client.mqtt.mqtt5.message.unsubscribe.Mqtt5Unsubscribe;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A connection of the client of HiveMQ. */
final class Peer5 extends Peer {
    static final MqttQos[] QOS = {MqttQos.AT_MOST_ONCE, MqttQos.AT_LEAST_ONCE, MqttQos.EXACTLY_ONCE};
    /** What {@link #end} gives when the server said nothing. */
    static final int NO_REASON = -1;

    Mqtt5AsyncClient client;
    Mqtt5ConnAck connack;
    private final Relay relay;
    private final BlockingQueue<Integer> ends = new LinkedBlockingQueue<>();

    Peer5(final Relay relay) {
        this.relay = relay;
    }

    static byte[] bytes(final String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static Mqtt5Publish packet(final String topic, final int qos, final String payload) {
        return Mqtt5Publish.builder().topic(topic).qos(QOS[qos]).payload(bytes(payload)).build();
    }

    void received(final Mqtt5Publish got) {
        final String payload = new String(got.getPayloadAsBytes(), StandardCharsets.UTF_8);
        inbox.add(new Message(got.getTopic().toString(), payload, got.getQos().getCode(), got.isRetain(), got));
    }

    void ended(final MqttClientDisconnectedContext context) {
        final boolean isSaid = context.getCause() instanceof Mqtt5DisconnectException;
        ends.add(isSaid ? reasonOf((Mqtt5DisconnectException) context.getCause()) : NO_REASON);
    }

    private static int reasonOf(final Mqtt5DisconnectException cause) {
        return cause.getMqttMessage().getReasonCode().getCode();
    }

    /** Waits for the end of the connection; gives the reason code of the server's DISCONNECT. */
    int end() throws InterruptedException {
        final Integer reason = ends.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
        if (reason == null) {
            throw new AssertionError("the connection did not end");
        }
        return reason;
    }

    static <T> T await(final CompletableFuture<T> future) throws Exception {
        return future.get(DEADLINE_SECONDS, TimeUnit.SECONDS);
    }

    @Override
    boolean sessionPresent() {
        return connack.isSessionPresent();
    }

    @Override
    int subscribe(final String filter, final int qos) throws Exception {
        return subscribe(Mqtt5Subscription.builder().topicFilter(filter).qos(QOS[qos]).build());
    }

    int subscribe(final Mqtt5Subscription subscription) throws Exception {
        final Mqtt5Subscribe packet = Mqtt5Subscribe.builder().addSubscription(subscription).build();
        return await(client.subscribe(packet)).getReasonCodes().get(0).getCode();
    }

    @Override
    void unsubscribe(final String filter) throws Exception {
        unsubscribeAll(List.of(filter));
    }

    /** Gives the reason codes. */
    List<Integer> unsubscribeAll(final List<String> filters) throws Exception {
        final Mqtt5Unsubscribe first = Mqtt5Unsubscribe.builder().topicFilter(filters.get(0)).build();
        var packet = first.extend();
        for (final String filter : filters.subList(1, filters.size())) {
            packet = packet.addTopicFilter(filter);
        }
        return await(client.unsubscribe(packet.build())).getReasonCodes().stream().map(code -> code.getCode()).toList();
    }

    @Override
    void publish(final String topic, final int qos, final boolean retain, final List<String> payloads)
            throws Exception {
        final List<CompletableFuture<Mqtt5PublishResult>> results = new ArrayList<>();
        for (final String payload : payloads) {
            results.add(client.publish(packet(topic, qos, payload).extend().retain(retain).build()));
        }
        for (final CompletableFuture<Mqtt5PublishResult> result : results) {
            await(result);
        }
    }

    /** Publishes and gives the reason code of the acknowledgement, 0 for QoS 0. */
    int publish(final Mqtt5Publish packet) throws Exception {
        final Mqtt5PublishResult result = await(client.publish(packet));
        if (result instanceof Mqtt5Qos1Result acked) {
            return acked.getPubAck().getReasonCode().getCode();
        }
        return result instanceof Mqtt5Qos2Result received ? received.getPubRec().getReasonCode().getCode() : 0;
    }

    @Override
    void cut() throws Exception {
        relay.cut();
        end();
    }

    @Override
    void disconnect() throws Exception {
        await(client.disconnect());
    }

    void disconnect(final Mqtt5Disconnect packet) throws Exception {
        await(client.disconnect(packet));
    }
}
