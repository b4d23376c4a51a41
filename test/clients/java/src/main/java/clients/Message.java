package clients;

import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;

/** A message that arrived; {@code packet} is null before MQTT 5. */
record Message(String topic, String payload, int qos, boolean retain, Mqtt5Publish packet) {
}
