package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"
)

const mostUnacked = 10

// messageChecks look at what a message of MQTT 5 carries, and at how many are under way.
func messageChecks(to *server5) []check {
	return []check{
		{"the properties of a message arrive unchanged and in order", func() { properties(to) }},
		{"topic aliases stand for their topics both ways", func() { aliases(to) }},
		{"Receive Maximum is never exceeded", func() { receiveMaximum(to) }},
		{"a message that is too large for a client is left out", func() { packetSize(to) }},
		{"acknowledgements carry reason codes", func() { reasonCodes(to) }},
	}
}

func sentProperties() *paho.PublishProperties {
	return &paho.PublishProperties{
		PayloadFormat:   paho.Byte(1),
		ContentType:     "application/json",
		ResponseTopic:   "answers/here",
		CorrelationData: []byte{0, 1, 127, 128, 255},
		User: paho.UserProperties{
			{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "1"},
			{Key: "", Value: ""}, {Key: "é", Value: "東"},
		},
	}
}

func properties(to *server5) {
	live, away := to.connect5("props", options5{}), to.session("props-away", hourSeconds)
	publisher := to.connect5("props-pub", options5{})
	live.subscribe("props/#", 2)
	away.subscribe("props/#", 2)
	away.disconnect()
	publish := func(qos byte, retain bool, payload string) {
		packet := paho.Publish{Topic: "props/a", Payload: []byte(payload), QoS: qos, Retain: retain}
		packet.Properties = sentProperties()
		publisher.publish5(packet)
		sameProperties(next(live), payload)
	}
	for qos := range byte(3) {
		publish(qos, false, fmt.Sprintf(`{"qos":%d}`, qos))
	}
	publish(2, true, "{}")
	again := to.session("props-away", hourSeconds)
	for _, payload := range []string{`{"qos":1}`, `{"qos":2}`, "{}"} {
		sameProperties(next(again), payload)
	}
	late := to.connect5("props-late", options5{})
	late.subscribe("props/#", 0)
	sameProperties(next(late), "{}")
	publisher.publish("props/a", 1, true, "")
	for _, one := range []*peer5{live, again, publisher, late} {
		one.disconnect()
	}
}

func sameProperties(got message, payload string) {
	same(got.payload, payload)
	same(got.packet.Properties, sentProperties())
}

func aliases(to *server5) {
	asks := paho.ConnectProperties{TopicAliasMaximum: paho.Uint16(5)}
	subscriber := to.connect5("alias-sub", options5{properties: asks})
	subscriber.subscribe("alias/#", 2)
	most := to.connect5("alias-ask", options5{}).connack.Properties.TopicAliasMaximum
	if most == nil || *most < 3 {
		panic("the server takes no topic aliases")
	}
	aliased := 0
	handler := topicaliases.NewTAHandler(3)
	publisher := to.connect5("alias-pub", options5{hook: func(packet *paho.Publish) {
		handler.PublishHook(packet)
		if packet.Topic == "" {
			aliased++
		}
	}})
	expected := []string{}
	for _, topic := range []string{"alias/one", "alias/two"} {
		for number := range 10 {
			payload := fmt.Sprintf("%s %d", topic, number)
			publisher.publish(topic, byte(number%3), false, payload)
			expected = append(expected, payload)
		}
	}
	publisher.publish("alias/end", 2, false, "end")
	same(aliased, 18)
	same(sortedPayloads(subscriber, "end"), expected)
	subscriber.disconnect()
	publisher.disconnect()
}

// sortedPayloads takes messages whose payload begins with their topic; an alias of the server is looked up.
func sortedPayloads(from *peer5, marker string) []string {
	topics := map[uint16]string{}
	list := []string{}
	for _, got := range before(from, marker) {
		topic := got.topic
		if alias := got.packet.Properties.TopicAlias; alias != nil {
			if topic != "" {
				topics[*alias] = topic
			}
			topic = topics[*alias]
		}
		same(strings.HasPrefix(got.payload, topic+" "), true)
		list = append(list, got.payload)
	}
	slices.Sort(list)
	return list
}

func receiveMaximum(to *server5) {
	publisher := to.connect5("window-pub", options5{})
	for window := 1; window <= mostUnacked; window++ {
		asks := paho.ConnectProperties{ReceiveMaximum: paho.Uint16(uint16(window))}
		self := to.connect5(fmt.Sprintf("window-%d", window), options5{properties: asks, manualAcks: true})
		topic := fmt.Sprintf("window/%d", window)
		self.subscribe(topic, 2)
		sent := []string{}
		for number := range 3 * mostUnacked {
			sent = append(sent, fmt.Sprint(number))
			publisher.publish(topic, byte(1+number/mostUnacked%2), false, sent[number])
		}
		self.subscribe("window/asked-last", 0) // what would exceed the window comes before this answer
		same(takeWithin(self, window, len(sent)), sent)
		self.disconnect()
	}
	publisher.disconnect()
}

// takeWithin holds back acknowledgements until the window is full, then gives one for each message.
func takeWithin(self *peer5, window, count int) []string {
	var held []*paho.Publish
	got := []string{}
	for len(got) < count {
		one := next(self)
		held = append(held, one.packet)
		got = append(got, one.payload)
		if unacked := len(held) + len(self.inbox); unacked > window {
			panic(fmt.Sprintf("%d unacked with a Receive Maximum of %d", unacked, window))
		}
		for len(held) > 0 && (len(held) == window || len(got) == count) {
			must(self.client.Ack(held[0]))
			held = held[1:]
		}
	}
	return got
}

func packetSize(to *server5) {
	asks := paho.ConnectProperties{MaximumPacketSize: paho.Uint32(200)}
	self := to.connect5("small", options5{properties: asks})
	self.subscribe("small/#", 1)
	publisher := to.connect5("small-pub", options5{})
	first, last := strings.Repeat("x", 100), strings.Repeat("z", 100)
	publisher.publish("small/a", 1, false, first, strings.Repeat("y", 300), last, "end")
	same(payloads(before(self, "end")), []string{first, last})
	self.disconnect()
	publisher.disconnect()
}

func reasonCodes(to *server5) {
	self := to.connect5("codes", options5{})
	codes := self.subscribe5(nil,
		paho.SubscribeOptions{Topic: "codes/0"},
		paho.SubscribeOptions{Topic: "codes/1", QoS: 1},
		paho.SubscribeOptions{Topic: "codes/2", QoS: 2})
	same(codes, []byte{0, 1, 2})
	for qos := byte(1); qos <= 2; qos++ {
		same(self.publish5(paho.Publish{Topic: "codes/0", QoS: qos}), 0)
		code := self.publish5(paho.Publish{Topic: "codes/nobody", QoS: qos})
		same(code == 0 || code == 0x10, true)
	}
	same(self.unsubscribe5("codes/0", "codes/never"), []byte{0, 0x11})
	self.disconnect()
}
