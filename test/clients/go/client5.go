package main

import (
	"context"
	"net"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

const hourSeconds = 3_600

// server5 is reached with paho.golang; it keeps the client's side of each session between connections.
type server5 struct {
	address  string
	sessions map[string]*state.State
}

type peer5 struct {
	client  *paho.Client
	socket  net.Conn
	connack *paho.Connack
	inbox   chan message
	ends    chan byte
}

// What MQTT 5 adds to the ways of connecting.
type options5 struct {
	options
	properties paho.ConnectProperties
	manualAcks bool
	hook       func(*paho.Publish)
}

func newServer5(address string) *server5 {
	return &server5{address: address, sessions: map[string]*state.State{}}
}

func (s *server5) tellsSessionPresent() bool { return true }

func (s *server5) connect(clientID string, how options) peer {
	settings := options5{options: how}
	if how.durable {
		settings.properties.SessionExpiryInterval = paho.Uint32(hourSeconds)
	}
	return s.connect5(clientID, settings)
}

// session connects with a session that outlives the connection by so many seconds.
func (s *server5) session(clientID string, expirySeconds uint32) *peer5 {
	settings := options5{options: options{durable: true}}
	settings.properties.SessionExpiryInterval = &expirySeconds
	return s.connect5(clientID, settings)
}

func (s *server5) connect5(clientID string, how options5) *peer5 {
	socket, err := net.Dial("tcp", s.address)
	must(err)
	self := &peer5{socket: socket, inbox: make(chan message, inboxSize), ends: make(chan byte, 8)}
	settings := paho.ClientConfig{
		Conn:                       socket,
		EnableManualAcknowledgment: how.manualAcks,
		SendAcksInterval:           1, // a nanosecond: at once
		PublishHook:                how.hook,
		OnPublishReceived:          []func(paho.PublishReceived) (bool, error){self.take},
		OnServerDisconnect:         func(packet *paho.Disconnect) { self.ends <- packet.ReasonCode },
		OnClientError:              func(error) { self.ends <- 0x80 },
	}
	if how.durable {
		if s.sessions[clientID] == nil {
			s.sessions[clientID] = state.NewInMemory()
		}
		settings.Session = s.sessions[clientID]
	}
	self.client = paho.NewClient(settings)
	self.connack, err = self.client.Connect(context.Background(), connectPacket(clientID, how))
	must(err)
	return self
}

func connectPacket(clientID string, how options5) *paho.Connect {
	packet := &paho.Connect{ClientID: clientID, CleanStart: !how.durable, KeepAlive: 30, Properties: &how.properties}
	if how.will != nil {
		packet.WillMessage = &paho.WillMessage{
			Topic: how.will.topic, Payload: []byte(how.will.payload), QoS: how.will.qos, Retain: how.will.retain,
		}
		packet.WillProperties = how.will.properties
	}
	return packet
}

func (p *peer5) take(got paho.PublishReceived) (bool, error) {
	packet := got.Packet
	p.inbox <- message{packet.Topic, string(packet.Payload), packet.QoS, packet.Retain, packet}
	return true, nil
}

func (p *peer5) sessionPresent() bool { return p.connack.SessionPresent }

func (p *peer5) subscribe(filter string, qos byte) byte {
	return p.subscribe5(nil, paho.SubscribeOptions{Topic: filter, QoS: qos})[0]
}

// subscribe5 gives the reason codes.
func (p *peer5) subscribe5(properties *paho.SubscribeProperties, filters ...paho.SubscribeOptions) []byte {
	packet := &paho.Subscribe{Properties: properties, Subscriptions: filters}
	suback, err := p.client.Subscribe(withDeadline(), packet)
	must(err)
	return suback.Reasons
}

func (p *peer5) unsubscribe(filter string) { p.unsubscribe5(filter) }

// unsubscribe5 gives the reason codes; the library calls it an error when one is no success.
func (p *peer5) unsubscribe5(filters ...string) []byte {
	unsuback, err := p.client.Unsubscribe(withDeadline(), &paho.Unsubscribe{Topics: filters})
	if unsuback == nil {
		panic(err)
	}
	return unsuback.Reasons
}

func (p *peer5) publish(topic string, qos byte, retain bool, payloads ...string) {
	for _, payload := range payloads {
		p.publish5(paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain})
	}
}

// publish5 gives the reason code of the acknowledgement.
func (p *peer5) publish5(packet paho.Publish) byte {
	answer, err := p.client.Publish(withDeadline(), &packet)
	must(err)
	if packet.QoS == 0 {
		return 0
	}
	return answer.ReasonCode
}

func (p *peer5) received() <-chan message { return p.inbox }

func (p *peer5) cut() {
	must(p.socket.Close())
	await(p.ends, "end of the connection")
}

func (p *peer5) disconnect() { p.disconnect5(paho.Disconnect{}) }

func (p *peer5) disconnect5(packet paho.Disconnect) {
	must(p.client.Disconnect(&packet))
	await(p.client.Done(), "end of the connection")
}

func withDeadline() context.Context {
	// the deadline ends the context; nothing is left to be cancelled
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	context.AfterFunc(ctx, cancel)
	return ctx
}
