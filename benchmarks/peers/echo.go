// Go as one writes it: a goroutine a client, net.Conn, bytes.ToUpper. Bare upper-casing.
// Over TLS if the environment names a certificate: TLS_CERT, TLS_KEY.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if name := os.Getenv("TLS_CERT"); name != "" {
		certificate, err := tls.LoadX509KeyPair(name, os.Getenv("TLS_KEY"))
		if err != nil {
			panic(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	fmt.Println(port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			data := make([]byte, 65536)
			for {
				size, err := conn.Read(data)
				if err != nil {
					return
				}
				if _, err = conn.Write(bytes.ToUpper(data[:size])); err != nil {
					return
				}
			}
		}()
	}
}
