package clients;

import static clients.Check.same;
import static clients.Peer.payloads;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Checks of what every version of MQTT has. */
record EveryVersion(Server server) {
    private static final int AWAY_MESSAGES = 500;

    List<Check> checks() {
        return List.of(
                new Check("messages of QoS 0, 1 and 2 arrive once each at their QoS", this::threeQos),
                new Check("a subscription lowers the QoS of what it gets", this::loweredQos),
                new Check("an ended subscription gets nothing more", this::unsubscribed),
                new Check("a session that was away gets what it missed in order, then live", this::away),
                new Check("a clean session keeps nothing", this::clean),
                new Check("a retained message comes with the flag until it is replaced or cleared", this::retained),
                new Check("a will is sent when the connection is cut", this::willSent),
                new Check("no will is sent after a clean disconnect", this::willDropped));
    }

    private void threeQos() throws Exception {
        final Peer subscriber = server.connect("three-sub");
        final Peer publisher = server.connect("three-pub");
        same(subscriber.subscribe("three/#", 2), 2);
        final List<List<String>> expected = List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        for (int number = 0; number < 20; number++) {
            for (int qos = 0; qos <= 2; qos++) {
                expected.get(qos).add(qos + "-" + number);
                publisher.publish("three/" + qos, qos, qos + "-" + number);
            }
        }
        publisher.publish("three/end", 2, "end");
        final List<List<String>> got = List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        for (final Message message : subscriber.before("end")) {
            same(message.topic(), "three/" + message.qos());
            got.get(message.qos()).add(message.payload());
        }
        for (int qos = 0; qos <= 2; qos++) {
            same(got.get(qos), expected.get(qos));
        }
        subscriber.disconnect();
        publisher.disconnect();
    }

    private void loweredQos() throws Exception {
        final Peer publisher = server.connect("lowered-pub");
        final List<Peer> subscribers = new ArrayList<>();
        for (int qos = 0; qos <= 2; qos++) {
            subscribers.add(server.connect("lowered-" + qos));
            same(subscribers.get(qos).subscribe("lowered/+", qos), qos);
        }
        for (int sent = 0; sent <= 2; sent++) {
            publisher.publish("lowered/x", sent, "sent at " + sent);
            for (int qos = 0; qos <= 2; qos++) {
                final Message message = subscribers.get(qos).next();
                same(message.payload(), "sent at " + sent);
                same(message.qos(), Math.min(sent, qos));
            }
        }
        publisher.disconnect();
        for (final Peer subscriber : subscribers) {
            subscriber.disconnect();
        }
    }

    private void unsubscribed() throws Exception {
        final Peer peer = server.connect("unsubscribed");
        peer.subscribe("unsubscribed/a", 1);
        peer.subscribe("unsubscribed/b", 1);
        peer.publish("unsubscribed/a", 1, "before");
        same(peer.next().payload(), "before");
        peer.unsubscribe("unsubscribed/a");
        peer.publish("unsubscribed/a", 1, "after");
        peer.publish("unsubscribed/b", 1, "end");
        same(payloads(peer.before("end")), List.of());
        peer.disconnect();
    }

    private void away() throws Exception {
        final Peer first = server.session("away-sub");
        same(first.sessionPresent(), false);
        first.subscribe("away/#", 2);
        first.disconnect();
        final Peer publisher = server.connect("away-pub");
        final List<String> missed = IntStream.range(0, AWAY_MESSAGES).mapToObj(number -> "missed " + number).toList();
        final int half = AWAY_MESSAGES / 2;
        publisher.publish("away/a", 1, false, missed.subList(0, half));
        publisher.publish("away/b", 2, false, missed.subList(half, AWAY_MESSAGES));
        final Peer again = server.session("away-sub");
        if (server.tellsSessionPresent()) {
            same(again.sessionPresent(), true);
        }
        publisher.publish("away/c", 2, "live");
        final List<Message> got = again.take(AWAY_MESSAGES + 1);
        same(payloads(got), Stream.concat(missed.stream(), Stream.of("live")).toList());
        for (int number = 0; number < got.size(); number++) {
            same(got.get(number).qos(), number < half ? 1 : 2);
        }
        publisher.publish("away/c", 2, "end");
        same(payloads(again.before("end")), List.of());
        again.disconnect();
        publisher.disconnect();
    }

    private void clean() throws Exception {
        final Peer first = server.session("clean");
        first.subscribe("clean/#", 1);
        first.disconnect();
        final Peer publisher = server.connect("clean-pub");
        publisher.publish("clean/a", 1, "missed");
        final Peer again = server.connect("clean");
        same(again.sessionPresent(), false);
        publisher.publish("clean/a", 1, "not subscribed");
        again.subscribe("clean/#", 1);
        publisher.publish("clean/a", 1, "end");
        same(payloads(again.before("end")), List.of());
        again.disconnect();
        final Peer third = server.session("clean");
        same(third.sessionPresent(), false);
        third.disconnect();
        publisher.disconnect();
    }

    private void retained() throws Exception {
        final Peer publisher = server.connect("retained-pub");
        final Peer live = server.connect("retained-live");
        live.subscribe("retained/a", 1);
        final int[] levels = {1, 2, 0, 1};
        for (int index = 0; index < levels.length; index++) {
            publisher.retain("retained/a", levels[index], "value " + index);
            final Message message = live.next();
            same(message.payload(), "value " + index);
            same(message.retain(), false);
        }
        same(retainedFor("retained-new", publisher), List.of("value 3 at QoS 1, retained: true"));
        publisher.retain("retained/a", 1, "");
        same(live.next().payload(), "");
        same(retainedFor("retained-newer", publisher), List.of());
        live.disconnect();
        publisher.disconnect();
    }

    /** What a new subscription gets before the next live message. */
    private List<String> retainedFor(final String clientId, final Peer publisher) throws Exception {
        final Peer peer = server.connect(clientId);
        peer.subscribe("retained/+", 1);
        publisher.publish("retained/b", 1, "live");
        final List<Message> got = peer.before("live");
        peer.disconnect();
        return got.stream().map(EveryVersion::storyOf).toList();
    }

    private static String storyOf(final Message message) {
        return "%s at QoS %d, retained: %b".formatted(message.payload(), message.qos(), message.retain());
    }

    private void willSent() throws Exception {
        final Peer watcher = server.connect("will-watcher");
        watcher.subscribe("will/#", 2);
        for (int qos = 0; qos <= 2; qos++) {
            server.connect("will-" + qos, false, new Will("will/sent", "gone " + qos, qos, true)).cut();
            final Message message = watcher.next();
            same(message.payload(), "gone " + qos);
            same(message.qos(), qos);
        }
        final Peer later = server.connect("will-later");
        later.subscribe("will/sent", 1);
        final Message message = later.next();
        same(message.payload(), "gone 2");
        same(message.retain(), true);
        later.retain("will/sent", 1, "");
        later.disconnect();
        watcher.disconnect();
    }

    private void willDropped() throws Exception {
        final Peer watcher = server.connect("no-will-watcher");
        watcher.subscribe("no-will/#", 1);
        server.connect("no-will", false, new Will("no-will/a", "gone", 1, false)).disconnect();
        final Peer again = server.connect("no-will"); // the server is done with the older connection
        again.publish("no-will/b", 1, "end");
        same(payloads(watcher.before("end")), List.of());
        again.disconnect();
        watcher.disconnect();
    }
}
