package clients;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** One connection of a client library; every call waits for the answer of the server. */
abstract class Peer {
    /** How long to wait for what should come at once; it only passes on a failure. */
    static final int DEADLINE_SECONDS = 15;

    final BlockingQueue<Message> inbox = new LinkedBlockingQueue<>();

    abstract boolean sessionPresent();

    /** Gives the reason code. */
    abstract int subscribe(String filter, int qos) throws Exception;

    abstract void unsubscribe(String filter) throws Exception;

    abstract void publish(String topic, int qos, boolean retain, List<String> payloads) throws Exception;

    /** Ends the connection without a DISCONNECT. */
    abstract void cut() throws Exception;

    abstract void disconnect() throws Exception;

    final void publish(final String topic, final int qos, final String payload) throws Exception {
        publish(topic, qos, false, List.of(payload));
    }

    final void retain(final String topic, final int qos, final String payload) throws Exception {
        publish(topic, qos, true, List.of(payload));
    }

    final Message next() throws InterruptedException {
        final Message message = inbox.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
        if (message == null) {
            throw new AssertionError("no message came");
        }
        return message;
    }

    final List<Message> take(final int count) throws InterruptedException {
        final List<Message> messages = new ArrayList<>();
        while (messages.size() < count) {
            messages.add(next());
        }
        return messages;
    }

    /** What arrives before the message with this payload, which is taken as well. */
    final List<Message> before(final String marker) throws InterruptedException {
        final List<Message> messages = new ArrayList<>();
        for (Message message = next(); !message.payload().equals(marker); message = next()) {
            messages.add(message);
        }
        return messages;
    }

    static List<String> payloads(final List<Message> messages) {
        return messages.stream().map(Message::payload).toList();
    }
}
