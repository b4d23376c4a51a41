package clients;

/** What the server is to publish when the connection ends without goodbye. */
record Will(String topic, String payload, int qos, boolean retain) {
}
