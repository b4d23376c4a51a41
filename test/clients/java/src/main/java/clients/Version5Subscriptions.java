package clients;

import static clients.Check.same;
import static clients.Peer.payloads;

import com.hivemq.client.mqtt.mqtt5.message.subscribe.Mqtt5RetainHandling;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.Mqtt5Subscription;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.Mqtt5SubscriptionBuilder;
import java.util.List;

/** The options of a subscription of MQTT 5. */
record Version5Subscriptions(Server5 server) {
    List<Check> checks() {
        return List.of(
                new Check("No Local keeps own messages away", this::noLocal),
                new Check("Retain As Published keeps the flag of live messages", this::retainAsPublished),
                new Check("Retain Handling says when retained messages come", this::retainHandling));
    }

    private static Mqtt5SubscriptionBuilder.Complete to(final String filter, final int qos) {
        return Mqtt5Subscription.builder().topicFilter(filter).qos(Peer5.QOS[qos]);
    }

    private void noLocal() throws Exception {
        final Peer5 peer = server.connect("no-local");
        final Peer5 publisher = server.connect("no-local-pub");
        peer.subscribe(to("no-local/#", 2).noLocal(true).build());
        for (int qos = 0; qos <= 2; qos++) {
            peer.publish("no-local/a", qos, "own " + qos);
            publisher.publish("no-local/a", qos, "other " + qos);
            same(peer.next().payload(), "other " + qos);
        }
        publisher.publish("no-local/a", 2, "end");
        same(payloads(peer.before("end")), List.of());
        peer.disconnect();
        publisher.disconnect();
    }

    private void retainAsPublished() throws Exception {
        final Peer5 publisher = server.connect("as-published-pub");
        for (final boolean keeps : new boolean[] {true, false}) {
            final Peer5 peer = server.connect("as-published-" + keeps);
            peer.subscribe(to("as-published/#", 1).retainAsPublished(keeps).build());
            for (int qos = 0; qos <= 2; qos++) {
                publisher.retain("as-published/a", qos, "kept");
                same(peer.next().retain(), keeps);
                publisher.publish("as-published/a", qos, "not kept");
                same(peer.next().retain(), false);
            }
            publisher.retain("as-published/a", 1, "");
            peer.disconnect();
        }
        publisher.disconnect();
    }

    private void retainHandling() throws Exception {
        final Peer5 publisher = server.connect("handling-pub");
        publisher.retain("handling/a", 1, "kept");
        final List<String> kept = List.of("kept");
        final List<String> none = List.of();
        final List<List<List<String>>> expected =
                List.of(List.of(kept, kept), List.of(kept, none), List.of(none, none));
        for (int handling = 0; handling < expected.size(); handling++) {
            final Peer5 peer = server.connect("handling-" + handling);
            for (final List<String> once : expected.get(handling)) {
                final Mqtt5RetainHandling how = Mqtt5RetainHandling.fromCode(handling);
                peer.subscribe(to("handling/#", 1).retainHandling(how).build());
                publisher.publish("handling/b", 1, "end");
                same(payloads(peer.before("end")), once);
            }
            peer.disconnect();
        }
        publisher.retain("handling/a", 1, "");
        publisher.disconnect();
    }
}
