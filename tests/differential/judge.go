// Path validation by Go's crypto/x509. Each line of stdin is a question: a store and a chain (PEM files, the leaf
// first) and a time in seconds, parted by tabs; each line of stdout an answer: "" where the chain is accepted.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	questions := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for questions.Scan() {
		parts := strings.Split(questions.Text(), "\t")
		at, _ := strconv.ParseInt(parts[2], 10, 64)
		fmt.Fprintln(out, strings.ReplaceAll(ask(parts[0], parts[1], time.Unix(at, 0)), "\n", " "))
	}
}

// As crypto/tls does it for a client with these RootCAs (handshake_client.go, verifyServerCertificate).
func ask(store, chain string, at time.Time) string {
	roots, sent := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(read(store))
	var leaf *x509.Certificate
	for rest := read(chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "the server's certificate cannot be read: " + err.Error()
		}
		if leaf == nil {
			leaf = one
		} else {
			sent.AddCert(one)
		}
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: sent, CurrentTime: at, DNSName: "localhost"}
	if _, err := leaf.Verify(options); err != nil {
		return err.Error()
	}
	return ""
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
}
