// Checks a server with two clients of the Eclipse Foundation: `clients PORT VERSION`, where VERSION is 3.1, 3.1.1 or 5.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: clients PORT 3.1|3.1.1|5")
		os.Exit(2)
	}
	address := "127.0.0.1:" + os.Args[1]
	var checks []check
	switch version := os.Args[2]; version {
	case "3.1":
		checks = everyVersion(&server3{address: address, level: 3})
	case "3.1.1":
		checks = everyVersion(&server3{address: address, level: 4})
	case "5":
		checks = version5(newServer5(address))
	default:
		fmt.Fprintf(os.Stderr, "no such version: %s\n", version)
		os.Exit(2)
	}
	if !runAll(checks) {
		os.Exit(1)
	}
}
