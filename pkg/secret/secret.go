package secret

import (
	"log/slog"
	"net/http"
	"net/url"
	"regexp"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Redacted stands in for what must not be read.
const Redacted = "[redacted]"

// inURL finds what of a URL may be a credential: the user and password, and the
// query, where object stores have their signatures.
var inURL = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^/\s"']*@)?([^\s"'?#]*)(\?[^\s"'#]*)?`)

// Strip takes users, passwords and queries out of the URLs in a text.
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

// Attr is a slog.HandlerOptions.ReplaceAttr. Whatever may carry credentials by
// its type, such as a CRI request or HTTP headers, is left out whole, whoever
// logs it; texts and errors lose what is secret in URLs.
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
