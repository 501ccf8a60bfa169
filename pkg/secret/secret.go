package secret

import (
	"log/slog"
	"net/http"
	"net/url"
	"regexp"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Redacted replaces a secret.
const Redacted = "[redacted]"

// The parts of a URL that may be credentials: user and password, and the query,
// where object stores have their signatures.
var (
	userInfo = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)[^/\s"']*@`)
	query    = regexp.MustCompile(`\?[^\s"'#]+`)
)

// Strip redacts users, passwords and queries in the URLs of a text, and queries of
// relative ones.
func Strip(text string) string {
	return query.ReplaceAllString(userInfo.ReplaceAllString(text, "$1"), "?"+Redacted)
}

// Attr is a slog.HandlerOptions.ReplaceAttr. It redacts values of types that may
// have credentials, such as CRI requests and HTTP headers, and strips the URLs in
// texts and errors.
func Attr(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(Strip(v))
	case proto.Message, http.Header, metadata.MD, *http.Request, *http.Response, *url.Userinfo:
		a.Value = slog.StringValue(Redacted)
	case *url.URL:
		a.Value = slog.StringValue(Strip(v.String()))
	case error:
		a.Value = slog.StringValue(Strip(v.Error()))
	}
	return a
}
