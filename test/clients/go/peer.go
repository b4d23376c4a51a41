package main

import (
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// How long to wait for what should come at once; it only passes on a failure.
const deadline = 15 * time.Second

// Room for all messages that a check may leave untaken.
const inboxSize = 10_000

// A message that arrived; packet is nil before MQTT 5.
type message struct {
	topic, payload string
	qos            byte
	retain         bool
	packet         *paho.Publish
}

// What the server is to publish when the connection ends without goodbye; properties are those of MQTT 5.
type will struct {
	topic, payload string
	qos            byte
	retain         bool
	properties     *paho.WillProperties
}

// How to connect: with a session that outlives the connection, with a will.
type options struct {
	durable bool
	will    *will
}

// A peer is one connection of a client library; every call waits for the answer of the server.
type peer interface {
	sessionPresent() bool
	subscribe(filter string, qos byte) byte
	unsubscribe(filter string)
	publish(topic string, qos byte, retain bool, payloads ...string)
	received() <-chan message
	// cut ends the connection without a DISCONNECT.
	cut()
	disconnect()
}

// A server is what peers connect to.
type server interface {
	connect(clientID string, how options) peer
	// tellsSessionPresent is false for MQTT 3.1, whose CONNACK has no such flag.
	tellsSessionPresent() bool
}

func next(from peer) message {
	select {
	case got := <-from.received():
		return got
	case <-time.After(deadline):
		panic("no message came")
	}
}

// take gives the next messages.
func take(from peer, count int) []message {
	got := make([]message, count)
	for index := range got {
		got[index] = next(from)
	}
	return got
}

// before gives what arrives before the message with this payload, which is taken as well.
func before(from peer, marker string) []message {
	got := []message{}
	for {
		one := next(from)
		if one.payload == marker {
			return got
		}
		got = append(got, one)
	}
}

func payloads(messages []message) []string {
	list := make([]string, len(messages))
	for index, one := range messages {
		list[index] = one.payload
	}
	return list
}

// await gives what comes out of a channel, or fails.
func await[T any](from <-chan T, what string) T {
	select {
	case got := <-from:
		return got
	case <-time.After(deadline):
		panic("no " + what)
	}
}
