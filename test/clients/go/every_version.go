package main

import "fmt"

const awayMessages = 500

// everyVersion has the checks of what every version of MQTT has.
func everyVersion(to server) []check {
	return []check{
		{"messages of QoS 0, 1 and 2 arrive once each at their QoS", func() { threeQos(to) }},
		{"a subscription lowers the QoS of what it gets", func() { loweredQos(to) }},
		{"an ended subscription gets nothing more", func() { unsubscribed(to) }},
		{"a session that was away gets what it missed in order, then live", func() { away(to) }},
		{"a clean session keeps nothing", func() { clean(to) }},
		{"a retained message comes with the flag until it is replaced or cleared", func() { retained(to) }},
		{"a will is sent when the connection is cut", func() { willSent(to) }},
		{"no will is sent after a clean disconnect", func() { willDropped(to) }},
	}
}

func threeQos(to server) {
	subscriber, publisher := to.connect("three-sub", options{}), to.connect("three-pub", options{})
	same(subscriber.subscribe("three/#", 2), 2)
	expected := [3][]string{}
	for number := range 20 {
		for qos := range 3 {
			payload := fmt.Sprintf("%d-%d", qos, number)
			expected[qos] = append(expected[qos], payload)
			publisher.publish(fmt.Sprintf("three/%d", qos), byte(qos), false, payload)
		}
	}
	publisher.publish("three/end", 2, false, "end")
	got := [3][]string{}
	for _, one := range before(subscriber, "end") {
		same(one.topic, fmt.Sprintf("three/%d", one.qos))
		got[one.qos] = append(got[one.qos], one.payload)
	}
	same(got, expected)
	subscriber.disconnect()
	publisher.disconnect()
}

func loweredQos(to server) {
	publisher := to.connect("lowered-pub", options{})
	subscribers := [3]peer{}
	for qos := range subscribers {
		subscribers[qos] = to.connect(fmt.Sprintf("lowered-%d", qos), options{})
		same(subscribers[qos].subscribe("lowered/+", byte(qos)), byte(qos))
	}
	for sent := range 3 {
		payload := fmt.Sprint(sent)
		publisher.publish("lowered/x", byte(sent), false, payload)
		for qos, subscriber := range subscribers {
			got := next(subscriber)
			same(got.payload, payload)
			same(got.qos, byte(min(sent, qos)))
		}
	}
	publisher.disconnect()
	for _, subscriber := range subscribers {
		subscriber.disconnect()
	}
}

func unsubscribed(to server) {
	self := to.connect("unsubscribed", options{})
	self.subscribe("unsubscribed/a", 1)
	self.subscribe("unsubscribed/b", 1)
	self.publish("unsubscribed/a", 1, false, "before")
	same(next(self).payload, "before")
	self.unsubscribe("unsubscribed/a")
	self.publish("unsubscribed/a", 1, false, "after")
	self.publish("unsubscribed/b", 1, false, "end")
	same(payloads(before(self, "end")), []string{})
	self.disconnect()
}

func away(to server) {
	first := to.connect("away-sub", options{durable: true})
	same(first.sessionPresent(), false)
	first.subscribe("away/#", 2)
	first.disconnect()
	publisher := to.connect("away-pub", options{})
	missed := make([]string, awayMessages)
	for number := range missed {
		missed[number] = fmt.Sprintf("missed %d", number)
	}
	half := awayMessages / 2
	publisher.publish("away/a", 1, false, missed[:half]...)
	publisher.publish("away/b", 2, false, missed[half:]...)
	again := to.connect("away-sub", options{durable: true})
	if to.tellsSessionPresent() {
		same(again.sessionPresent(), true)
	}
	publisher.publish("away/c", 2, false, "live")
	got := take(again, awayMessages+1)
	same(payloads(got), append(missed, "live"))
	for number, one := range got {
		expected := byte(2)
		if number < half {
			expected = 1
		}
		same(one.qos, expected)
	}
	publisher.publish("away/c", 2, false, "end")
	same(payloads(before(again, "end")), []string{})
	again.disconnect()
	publisher.disconnect()
}

func clean(to server) {
	first := to.connect("clean", options{durable: true})
	first.subscribe("clean/#", 1)
	first.disconnect()
	publisher := to.connect("clean-pub", options{})
	publisher.publish("clean/a", 1, false, "missed")
	again := to.connect("clean", options{})
	same(again.sessionPresent(), false)
	publisher.publish("clean/a", 1, false, "not subscribed")
	again.subscribe("clean/#", 1)
	publisher.publish("clean/a", 1, false, "end")
	same(payloads(before(again, "end")), []string{})
	again.disconnect()
	third := to.connect("clean", options{durable: true})
	same(third.sessionPresent(), false)
	third.disconnect()
	publisher.disconnect()
}

func retained(to server) {
	publisher, live := to.connect("retained-pub", options{}), to.connect("retained-live", options{})
	live.subscribe("retained/a", 1)
	values := []message{{payload: "one", qos: 1}, {payload: "two", qos: 2}, {payload: "three"}, {payload: "four", qos: 1}}
	for _, sent := range values {
		publisher.publish("retained/a", sent.qos, true, sent.payload)
		got := next(live)
		same(got.payload, sent.payload)
		same(got.retain, false)
	}
	same(retainedFor(to, "retained-new", publisher), []string{"four at QoS 1, retained: true"})
	publisher.publish("retained/a", 1, true, "")
	same(next(live).payload, "")
	same(retainedFor(to, "retained-newer", publisher), []string{})
	live.disconnect()
	publisher.disconnect()
}

// retainedFor tells what a new subscription gets before the next live message.
func retainedFor(to server, clientID string, publisher peer) []string {
	self := to.connect(clientID, options{})
	self.subscribe("retained/+", 1)
	publisher.publish("retained/b", 1, false, "live")
	list := []string{}
	for _, got := range before(self, "live") {
		list = append(list, fmt.Sprintf("%s at QoS %d, retained: %t", got.payload, got.qos, got.retain))
	}
	self.disconnect()
	return list
}

func willSent(to server) {
	watcher := to.connect("will-watcher", options{})
	watcher.subscribe("will/#", 2)
	for qos := range 3 {
		last := &will{topic: "will/sent", payload: fmt.Sprintf("gone %d", qos), qos: byte(qos), retain: true}
		to.connect(fmt.Sprintf("will-%d", qos), options{will: last}).cut()
		got := next(watcher)
		same(got.payload, last.payload)
		same(got.qos, last.qos)
	}
	later := to.connect("will-later", options{})
	later.subscribe("will/sent", 1)
	got := next(later)
	same(got.payload, "gone 2")
	same(got.retain, true)
	later.publish("will/sent", 1, true, "")
	later.disconnect()
	watcher.disconnect()
}

func willDropped(to server) {
	watcher := to.connect("no-will-watcher", options{})
	watcher.subscribe("no-will/#", 1)
	to.connect("no-will", options{will: &will{topic: "no-will/a", payload: "gone", qos: 1}}).disconnect()
	again := to.connect("no-will", options{}) // the server is done with the older connection
	again.publish("no-will/b", 1, false, "end")
	same(payloads(before(watcher, "end")), []string{})
	again.disconnect()
	watcher.disconnect()
}
