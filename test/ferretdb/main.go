// A small database that speaks the protocol of MongoDB, for tests: FerretDB on files of SQLite.
//
// It prints its address as one line and ends with the process that started it, so that it never outlives a test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port; port 0 takes any free one")
	data := flag.String("data", "", "folder of the databases; made when it is missing")
	flag.Parse()
	if err := run(*listen, *data); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func run(listen, data string) error {
	if data == "" {
		return errors.New("-data is missing: it takes the folder of the databases")
	}
	folder, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	front, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer front.Close()
	database, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func(parent int) {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		stop()
	}(os.Getppid())
	go func() {
		inner, err := url.Parse(database.MongoDBURI())
		if err != nil {
			stop()
			return
		}
		fmt.Printf("mongodb://%s/\n", front.Addr())
		listenOneAtATime(front, inner.Host)
	}()
	return database.Run(ctx)
}
