// login bearer|basic URL: one request with Go's net/http; it reads SSL_CERT_FILE.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	request, err := http.NewRequest("GET", os.Args[2], nil)
	if err != nil {
		panic(err)
	}
	if os.Args[1] == "bearer" {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("API_TOKEN"))
	} else {
		request.SetBasicAuth("octo", os.Getenv("API_TOKEN"))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	octets, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.StatusCode, strings.TrimSpace(string(octets)))
	if answer.StatusCode != 200 {
		os.Exit(1)
	}
}
