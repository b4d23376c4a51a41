package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// What has to pass before a session or message of one second has surely expired.
const expiry = 2_100 * time.Millisecond

// Of a will; enough for another to be back in time. A timer may be a little early.
const delaySeconds = 2
const leastDelay = 1_900 * time.Millisecond

// version5 has all checks of MQTT 5; what has to expire is prepared first and looked at last.
func version5(to *server5) []check {
	var preparedAt time.Time
	list := []check{{"what is to expire is prepared", func() { prepareExpiry(to); preparedAt = time.Now() }}}
	list = append(list, everyVersion(to)...)
	list = append(list, messageChecks(to)...)
	list = append(list, subscriptionChecks(to)...)
	return append(list,
		check{"the session expiry of a DISCONNECT counts", func() { sessionEnded(to) }},
		check{"an empty client id is given one", func() { assigned(to) }},
		check{"a takeover tells the older connection 0x8E", func() { takeover(to) }},
		check{"an authentication method is refused with 0x8C", func() { authentication(to) }},
		check{"a will carries its properties", func() { willProperties(to) }},
		check{"a will is sent after DISCONNECT 0x04", func() { willAskedFor(to) }},
		check{"a delayed will waits, and is not sent when the session resumes", func() { willDelayed(to) }},
		check{"message expiry arrives as what remains, expired messages do not", func() {
			time.Sleep(time.Until(preparedAt.Add(expiry)))
			messageExpiry(to)
		}},
		check{"a session lives as long as its expiry interval", func() {
			time.Sleep(time.Until(preparedAt.Add(expiry)))
			sessionExpiry(to)
		}},
	)
}

// ---- time passes

func prepareExpiry(to *server5) {
	away := to.session("expiry-away", hourSeconds)
	away.subscribe("expiry/#", 1)
	away.disconnect()
	publisher := to.connect5("expiry-pub", options5{})
	for _, one := range []struct {
		payload string
		seconds *uint32
	}{{"short", paho.Uint32(1)}, {"long", paho.Uint32(100)}, {"end", nil}} {
		properties := &paho.PublishProperties{MessageExpiry: one.seconds}
		publisher.publish5(paho.Publish{Topic: "expiry/a", Payload: []byte(one.payload), QoS: 1, Properties: properties})
	}
	publisher.disconnect()
	to.session("session-short", 1).disconnect()
	to.session("session-long", 100).disconnect()
}

func messageExpiry(to *server5) {
	away := to.session("expiry-away", hourSeconds)
	got := before(away, "end")
	same(payloads(got), []string{"long"})
	if remaining := *got[0].packet.Properties.MessageExpiry; remaining <= 50 || remaining > 98 {
		panic(fmt.Sprintf("%d seconds remain, expected 98 at most", remaining))
	}
	away.disconnect()
}

func sessionExpiry(to *server5) {
	for clientID, present := range map[string]bool{"session-short": false, "session-long": true} {
		self := to.session(clientID, hourSeconds)
		same(fmt.Sprint(clientID, self.sessionPresent()), fmt.Sprint(clientID, present))
		self.disconnect()
	}
}

// ---- sessions

func sessionEnded(to *server5) {
	to.session("session-ended", hourSeconds).disconnect()
	second := to.session("session-ended", hourSeconds)
	same(second.sessionPresent(), true)
	ends := &paho.DisconnectProperties{SessionExpiryInterval: paho.Uint32(0)}
	second.disconnect5(paho.Disconnect{Properties: ends})
	for range 2 { // with an interval of 0, the session ends with its connection
		self := to.session("session-ended", 0)
		same(self.sessionPresent(), false)
		self.disconnect()
	}
}

func assigned(to *server5) {
	one, other := to.connect5("", options5{}), to.connect5("", options5{})
	first, second := one.connack.Properties.AssignedClientID, other.connack.Properties.AssignedClientID
	same(first != "" && second != "" && first != second, true)
	one.disconnect()
	other.disconnect()
}

func takeover(to *server5) {
	older := to.session("takeover", hourSeconds)
	older.subscribe("takeover/#", 1)
	delete(to.sessions, "takeover") // the newer one is another program
	newer := to.session("takeover", hourSeconds)
	same(await(older.ends, "end of the older connection"), 0x8e)
	same(newer.sessionPresent(), true)
	newer.publish("takeover/a", 1, false, "end")
	same(payloads(before(newer, "end")), []string{})
	newer.disconnect()
}

func authentication(to *server5) {
	socket, err := net.Dial("tcp", to.address)
	must(err)
	client := paho.NewClient(paho.ClientConfig{Conn: socket})
	how := options5{properties: paho.ConnectProperties{AuthMethod: "unknown"}}
	connack, err := client.Connect(context.Background(), connectPacket("authentication", how))
	if connack == nil {
		panic(err)
	}
	same(connack.ReasonCode, 0x8c)
}

// ---- wills

func willProperties(to *server5) {
	watcher := to.connect5("will-properties-watcher", options5{})
	watcher.subscribe("will-properties/#", 2)
	users := paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "1"}}
	// the library sends no others of a will
	properties := &paho.WillProperties{WillDelayInterval: paho.Uint32(0), User: users}
	last := &will{topic: "will-properties/a", payload: "gone", qos: 2, properties: properties}
	to.connect5("will-properties", options5{options: options{will: last}}).cut()
	got := next(watcher)
	same(got.payload, "gone")
	same(got.qos, 2)
	same(got.packet.Properties.User, users)
	watcher.disconnect()
}

func willAskedFor(to *server5) {
	watcher := to.connect5("will-asked-watcher", options5{})
	watcher.subscribe("will-asked/#", 1)
	last := &will{topic: "will-asked/a", payload: "gone", qos: 1}
	to.connect5("will-asked", options5{options: options{will: last}}).disconnect5(paho.Disconnect{ReasonCode: 0x04})
	same(next(watcher).payload, "gone")
	watcher.disconnect()
}

func willDelayed(to *server5) {
	watcher := to.connect5("will-delayed-watcher", options5{})
	watcher.subscribe("will-delayed/#", 1)
	leave := func(clientID, payload string) {
		properties := &paho.WillProperties{WillDelayInterval: paho.Uint32(delaySeconds)}
		last := &will{topic: "will-delayed/a", payload: payload, qos: 1, properties: properties}
		to.connect(clientID, options{durable: true, will: last}).cut()
	}
	leave("will-delayed-1", "late")
	again := to.session("will-delayed-1", hourSeconds)
	cutAt := time.Now()
	leave("will-delayed-2", "gone")
	same(next(watcher).payload, "gone")
	same(time.Since(cutAt) >= leastDelay, true)
	again.publish("will-delayed/b", 1, false, "end")
	same(payloads(before(watcher, "end")), []string{})
	again.disconnect()
	watcher.disconnect()
}
