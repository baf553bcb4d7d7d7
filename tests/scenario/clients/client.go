// client URL: three requests with Go's net/http as it comes; it reads SSL_CERT_FILE and HTTPS_PROXY.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	key := os.Getenv("API_KEY")
	for _, name := range []string{"get", "post", "down"} {
		method, body := "GET", io.Reader(nil)
		if name == "post" {
			method, body = "POST", strings.NewReader(strings.Repeat("x", 299957)+key)
		}
		request, err := http.NewRequest(method, os.Args[1]+"/"+name, body)
		if err != nil {
			panic(err)
		}
		request.Header.Set("X-Api-Key", key)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		octets, err := io.ReadAll(answer.Body)
		if err != nil {
			panic(err)
		}
		got := strings.TrimSpace(string(octets))
		if len(octets) >= 100 {
			got = fmt.Sprint(len(octets))
		}
		fmt.Printf("%s %d h%d %s\n", name, answer.StatusCode, answer.ProtoMajor, got)
		answer.Body.Close()
	}
}
