package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// Commands that look for documents and then change them. MongoDB does that in one step for each document; FerretDB looks
// first and changes afterwards, so that of two writers with the same filter both would win. One at a time, nobody does.
var changing = map[string]bool{"update": true, "findAndModify": true, "findandmodify": true, "delete": true, "insert": true}

const (
	headerBytes = 16
	opMsg       = 2013
	maxBytes    = 48 << 20
)

// listenOneAtATime passes on what comes in at an address to another one, with one changing command under way at most.
func listenOneAtATime(listener net.Listener, to string) {
	var turn sync.Mutex
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go passOn(client, to, &turn)
	}
}

func passOn(client net.Conn, to string, turn *sync.Mutex) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		reply, err := ask(server, request, turn)
		if err != nil {
			return
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

func ask(server net.Conn, request []byte, turn *sync.Mutex) ([]byte, error) {
	if changing[commandOf(request)] {
		turn.Lock()
		defer turn.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return readMessage(server)
}

// readMessage reads one message with its header, whose first field is the length of both.
func readMessage(from io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size < headerBytes || size > maxBytes {
		return nil, errors.New("not a message of the protocol of MongoDB")
	}
	message := make([]byte, size)
	copy(message, length[:])
	_, err := io.ReadFull(from, message[4:])
	return message, err
}

// commandOf names the command of an OP_MSG: the name of the first field of its body.
func commandOf(message []byte) string {
	const flags, kind, docLength, fieldType = 4, 1, 4, 1
	start := headerBytes + flags + kind + docLength + fieldType
	if len(message) < start || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return ""
	}
	for end := start; end < len(message); end++ {
		if message[end] == 0 {
			return string(message[start:end])
		}
	}
	return ""
}
