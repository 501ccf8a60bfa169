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

// inURL matches the parts of a URL that may be credentials: user and password, and
// the query, where object stores have their signatures.
var inURL = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^/\s"']*@)?([^\s"'?#]*)(\?[^\s"'#]*)?`)

// Strip redacts users, passwords and queries in the URLs of a text.
func Strip(text string) string {
	return inURL.ReplaceAllStringFunc(text, func(found string) string {
		parts := inURL.FindStringSubmatch(found)
		clean := parts[1] + parts[3]
		if parts[4] != "" {
			clean += "?" + Redacted
		}
		return clean
	})
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
