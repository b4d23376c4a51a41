package main

import (
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// How long a goodbye may take to leave.
const quiesceMs = 250

// server3 is reached with paho.mqtt.golang; level is 3 for MQTT 3.1 and 4 for 3.1.1.
type server3 struct {
	address string
	level   uint
}

type peer3 struct {
	client  mqtt.Client
	socket  net.Conn
	inbox   chan message
	lost    chan error
	present bool
}

func (s *server3) tellsSessionPresent() bool { return s.level > 3 }

func (s *server3) connect(clientID string, how options) peer {
	self := &peer3{inbox: make(chan message, inboxSize), lost: make(chan error, 1)}
	settings := mqtt.NewClientOptions().
		AddBroker("tcp://" + s.address).
		SetProtocolVersion(s.level).
		SetClientID(clientID).
		SetCleanSession(!how.durable).
		SetKeepAlive(30 * time.Second).
		SetAutoReconnect(false).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { self.lost <- err }).
		SetDefaultPublishHandler(func(_ mqtt.Client, got mqtt.Message) { self.inbox <- message3(got) }).
		SetCustomOpenConnectionFn(func(_ *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			socket, err := net.Dial("tcp", s.address)
			self.socket = socket
			return socket, err
		})
	if how.will != nil {
		settings.SetWill(how.will.topic, how.will.payload, how.will.qos, how.will.retain)
	}
	self.client = mqtt.NewClient(settings)
	token := self.client.Connect()
	wait(token)
	self.present = token.(*mqtt.ConnectToken).SessionPresent()
	return self
}

func message3(got mqtt.Message) message {
	return message{topic: got.Topic(), payload: string(got.Payload()), qos: got.Qos(), retain: got.Retained()}
}

func wait(token mqtt.Token) {
	if !token.WaitTimeout(deadline) {
		panic("the server did not answer")
	}
	must(token.Error())
}

func (p *peer3) sessionPresent() bool { return p.present }

func (p *peer3) subscribe(filter string, qos byte) byte {
	token := p.client.Subscribe(filter, qos, nil)
	wait(token)
	return token.(*mqtt.SubscribeToken).Result()[filter]
}

func (p *peer3) unsubscribe(filter string) { wait(p.client.Unsubscribe(filter)) }

func (p *peer3) publish(topic string, qos byte, retain bool, payloads ...string) {
	tokens := make([]mqtt.Token, len(payloads))
	for index, payload := range payloads {
		tokens[index] = p.client.Publish(topic, qos, retain, payload)
	}
	for _, token := range tokens {
		wait(token)
	}
}

func (p *peer3) received() <-chan message { return p.inbox }

func (p *peer3) cut() {
	must(p.socket.(*net.TCPConn).CloseWrite()) // the library does not tell of a socket that is closed on this side
	await(p.lost, "end of the connection")
}

func (p *peer3) disconnect() { p.client.Disconnect(quiesceMs) }
