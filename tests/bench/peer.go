// The Go peer of the measurement: net/http as it comes, mutual TLS, one answer for everybody and no decision at all.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	address, folder := os.Args[1], os.Args[2]
	pem, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		log.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(pem)
	http.HandleFunc("/update-info", func(answer http.ResponseWriter, request *http.Request) {
		if _, err := io.ReadAll(request.Body); err != nil {
			return
		}
		answer.Header().Set("Content-Type", "application/octet-stream")
		answer.Write(make([]byte, 14))
	})
	server := http.Server{Addr: address, TLSConfig: &tls.Config{
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              clients,
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}}
	log.Fatal(server.ListenAndServeTLS(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key")))
}
