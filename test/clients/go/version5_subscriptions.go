package main

import (
	"fmt"

	"github.com/eclipse/paho.golang/paho"
)

// subscriptionChecks look at the options of a subscription of MQTT 5.
func subscriptionChecks(to *server5) []check {
	return []check{
		{"a message names the subscriptions it comes from", func() { identifiers(to) }},
		{"No Local keeps own messages away", func() { noLocal(to) }},
		{"Retain As Published keeps the flag of live messages", func() { retainAsPublished(to) }},
		{"Retain Handling says when retained messages come", func() { retainHandling(to) }},
	}
}

// identifiers uses filters that do not overlap: the library keeps one identifier of a message.
func identifiers(to *server5) {
	self, publisher := to.connect5("ids", options5{}), to.connect5("ids-pub", options5{})
	for filter, identifier := range map[string]int{"ids/a/#": 7, "ids/b": 268_435_455} {
		properties := &paho.SubscribeProperties{SubscriptionIdentifier: &identifier}
		self.subscribe5(properties, paho.SubscribeOptions{Topic: filter, QoS: 1})
	}
	self.subscribe("without/#", 1)
	for _, topic := range []string{"ids/a/x", "ids/b", "without/a"} {
		publisher.publish(topic, 1, false, topic)
	}
	publisher.publish("without/a", 1, false, "end")
	got := []string{}
	for _, one := range before(self, "end") {
		identifier := 0
		if told := one.packet.Properties.SubscriptionIdentifier; told != nil {
			identifier = *told
		}
		got = append(got, fmt.Sprint(one.payload, " ", identifier))
	}
	same(got, []string{"ids/a/x 7", "ids/b 268435455", "without/a 0"})
	self.disconnect()
	publisher.disconnect()
}

func noLocal(to *server5) {
	self, publisher := to.connect5("no-local", options5{}), to.connect5("no-local-pub", options5{})
	self.subscribe5(nil, paho.SubscribeOptions{Topic: "no-local/#", QoS: 2, NoLocal: true})
	expected := []string{}
	for qos := range 3 {
		self.publish("no-local/a", byte(qos), false, fmt.Sprintf("own %d", qos))
		expected = append(expected, fmt.Sprintf("other %d", qos))
		publisher.publish("no-local/a", byte(qos), false, expected[qos])
		same(next(self).payload, expected[qos])
	}
	publisher.publish("no-local/a", 2, false, "end")
	same(payloads(before(self, "end")), []string{})
	self.disconnect()
	publisher.disconnect()
}

func retainAsPublished(to *server5) {
	publisher := to.connect5("as-published-pub", options5{})
	for _, keeps := range []bool{true, false} {
		self := to.connect5(fmt.Sprintf("as-published-%t", keeps), options5{})
		self.subscribe5(nil, paho.SubscribeOptions{Topic: "as-published/#", QoS: 1, RetainAsPublished: keeps})
		for qos := byte(0); qos <= 2; qos++ {
			publisher.publish("as-published/a", qos, true, "kept")
			same(next(self).retain, keeps)
			publisher.publish("as-published/a", qos, false, "not kept")
			same(next(self).retain, false)
		}
		publisher.publish("as-published/a", 1, true, "")
		self.disconnect()
	}
	publisher.disconnect()
}

func retainHandling(to *server5) {
	publisher := to.connect5("handling-pub", options5{})
	publisher.publish("handling/a", 1, true, "kept")
	kept, none := []string{"kept"}, []string{}
	for handling, expected := range [][][]string{{kept, kept}, {kept, none}, {none, none}} {
		self := to.connect5(fmt.Sprintf("handling-%d", handling), options5{})
		for _, once := range expected {
			self.subscribe5(nil, paho.SubscribeOptions{Topic: "handling/#", QoS: 1, RetainHandling: byte(handling)})
			publisher.publish("handling/b", 1, false, "end")
			same(payloads(before(self, "end")), once)
		}
		self.disconnect()
	}
	publisher.publish("handling/a", 1, true, "")
	publisher.disconnect()
}
