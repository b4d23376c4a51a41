package clients;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import javax.net.SocketFactory;

/** Makes sockets that send small packets at once. */
final class PromptSockets extends SocketFactory {
    @Override
    public Socket createSocket() throws IOException {
        final Socket socket = new Socket();
        socket.setTcpNoDelay(true);
        return socket;
    }

    @Override
    public Socket createSocket(final String host, final int port) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(final String host, final int port, final InetAddress from, final int fromPort) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(final InetAddress host, final int port) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(final InetAddress host, final int port, final InetAddress from, final int fromPort) {
        throw new UnsupportedOperationException();
    }
}
