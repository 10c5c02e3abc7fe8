package azurekv

import (
	"io"
	"net/http"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

// maxAnswer is far above the largest answer of the service, a page of 25 secrets
// with all the tags that it allows (15 of 1,024 characters each).
const maxAnswer = 8 << 20

// screened is the transport behind everything of azcore. It cuts answers off at
// maxAnswer, since the client reads them whole, and takes out of their heads what
// azcore's log shows and a server could put anything in.
type screened struct{ policy.Transporter }

func (s screened) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.Transporter.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.Body != nil {
		resp.Body = limitedBody{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	resp.Status = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	resp.Header.Del("X-Ms-Error-Code")
	if !azfault.IsRequestID(resp.Header.Get("X-Ms-Request-Id")) {
		resp.Header.Del("X-Ms-Request-Id")
	}
	return resp, nil
}

type limitedBody struct {
	io.Reader
	io.Closer
}
