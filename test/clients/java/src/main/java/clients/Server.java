package clients;

/** What peers connect to, by one client library and in one version of MQTT. */
interface Server {
    /**
     * Connects.
     *
     * @param durable whether the session outlives the connection
     * @param will    null for none; only with a will the connection can be cut
     */
    Peer connect(String clientId, boolean durable, Will will) throws Exception;

    /** False for MQTT 3.1, whose CONNACK has no such flag. */
    boolean tellsSessionPresent();

    default Peer connect(final String clientId) throws Exception {
        return connect(clientId, false, null);
    }

    default Peer session(final String clientId) throws Exception {
        return connect(clientId, true, null);
    }
}
