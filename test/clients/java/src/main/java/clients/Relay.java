package clients;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** Stands between one client and the server, so that their connection can be cut. */
final class Relay {
    private final ServerSocket listener;
    private final int port;
    private volatile Socket near;
    private volatile Socket far;

    /** Takes one connection and passes its bytes on to a port of this machine. */
    Relay(final int port) throws IOException {
        this.port = port;
        listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        start(this::accept);
    }

    int localPort() {
        return listener.getLocalPort();
    }

    /** Closes both sides at once. */
    void cut() throws IOException {
        near.close();
        far.close();
        listener.close();
    }

    private void accept() throws IOException {
        near = listener.accept();
        far = new Socket(InetAddress.getLoopbackAddress(), port);
        near.setTcpNoDelay(true);
        far.setTcpNoDelay(true);
        start(() -> pass(near, far));
        start(() -> pass(far, near));
    }

    private static void pass(final Socket from, final Socket to) throws IOException {
        from.getInputStream().transferTo(to.getOutputStream());
        to.shutdownOutput();
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(final Work work) {
        final Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (final IOException closed) {
                // one side is gone, by cut() or by itself
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
