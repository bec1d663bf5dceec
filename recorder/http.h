// One HTTP/1.1 request (RFC 9112) at a time, as much of it as a witness needs, with TLS or
// without: no redirects, no chunked answers.
//
// Stateless; any thread. Failure: Error (kFailure) that says what the server did or did not.
#pragma once

#include <cstddef>
#include <string>

namespace airr {

// "http://HOST[:PORT][/PATH]", "https://…"
bool isUrl(const std::string& place);
// The body of the answer, of at most `most` bytes, if its status is 200 to 299. `body` empty: GET,
// with `query` behind the path; else POST.
std::string request(const std::string& url, const std::string& query, const std::string& body,
                    size_t most);

}  // namespace airr
