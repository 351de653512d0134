// Go as one writes it: a goroutine a client, net.Conn, bytes.ToUpper. Bare upper-casing.
package main

import (
	"bytes"
	"fmt"
	"net"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
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
