// A client as one writes it in Go: two conversations over TLS, the second with the first's session.
// client PORT CA-FILE: what comes back on its output, and whether the session was resumed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	pem, err := os.ReadFile(os.Args[2])
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{
		RootCAs:            roots,
		ServerName:         "backend.example",
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	for i := 0; i < 2; i++ {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+os.Args[1], config)
		check(err)
		_, err = connection.Write([]byte("mañana\n"))
		check(err)
		_, err = connection.Write([]byte("half a line"))
		check(err)
		check(connection.CloseWrite())
		said, err := io.ReadAll(connection) // to the server's close_notify, or it is an error
		check(err)
		fmt.Printf("%s %v\n", said, connection.ConnectionState().DidResume)
		connection.Close()
	}
}
