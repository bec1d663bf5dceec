#include "recorder/http.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "recorder/files.h"
#include "recorder/tls.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr time_t kPatience = 10;  // seconds without an answer
constexpr size_t kMaxAnswerHeader = 16 << 10;

struct Url {
  bool isSecure = false;
  std::string host, port, path = "/";
};

Error failed(const std::string& url, const std::string& why) {
  return Error(ExitCode::kFailure, "the witness " + url + " " + why,
               "see that it runs and can be reached, or name another with --witness");
}

Url parse(const std::string& url) {
  Url parts;
  parts.isSecure = url.starts_with("https://");
  if (!parts.isSecure && !url.starts_with("http://")) {
    throw failed(url, "has no http:// or https:// address");
  }
  parts.port = parts.isSecure ? "443" : "80";
  std::string rest = url.substr(url.find("//") + 2);
  if (const size_t slash = rest.find('/'); slash != std::string::npos) {
    parts.path = rest.substr(slash);
    rest.resize(slash);
  }
  const size_t colon = rest.rfind(':');
  if (colon != std::string::npos && rest.find(']', colon) == std::string::npos) {
    parts.port = rest.substr(colon + 1);
    rest.resize(colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  parts.host = rest;
  const bool odd = std::ranges::any_of(url, [](unsigned char c) { return c <= ' ' || c >= 0x7f; });
  if (parts.host.empty() || odd) throw failed(url, "has no address that can be used");
  return parts;
}

UniqueFd connectTo(const std::string& url, const Url& parts) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
      code != 0) {
    throw failed(url, std::string("cannot be found: ") + ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    UniqueFd low(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, at->ai_protocol));
    UniqueFd socket(low ? ::fcntl(low.get(), F_DUPFD_CLOEXEC, kFirstOwnFd) : -1);
    if (!socket) continue;
    const timeval patience{kPatience, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(socket.get(), at->ai_addr, at->ai_addrlen) == 0) return socket;
    error = errno;
  }
  throw failed(url, std::string("cannot be reached: ") + std::strerror(error));
}

// A connection to the server, with TLS or without.
class Connection {
 public:
  Connection(const std::string& url, const Url& parts) : url_(url), socket_(connectTo(url, parts)) {
    if (!parts.isSecure) return;
    try {
      tls_ = std::make_unique<TlsConnection>(socket_.get(), parts.host);
    } catch (const Error& error) {
      throw failed(url, std::string("cannot be spoken to: ") + error.what());
    }
  }

  void send(std::string_view text) {
    if (tls_) {
      if (!tls_->send(text))
        throw failed(url_, std::string("does not take it: ") + std::strerror(errno));
      return;
    }
    while (!text.empty()) {
      const ssize_t n = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw failed(url_, std::string("does not take it: ") + std::strerror(errno));
      text.remove_prefix(static_cast<size_t>(n));
    }
  }

  // Until the server closes the connection, or `most` bytes. `isCut`: under TLS, it did not say
  // that this is the end.
  std::string receiveAll(size_t most, bool& isCut) {
    std::string answer;
    char buffer[4096];
    isCut = false;
    while (answer.size() <= most) {
      const ssize_t n =
          tls_ ? tls_->receive(buffer) : ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      isCut = tls_ && n < 0 && errno == ECONNABORTED;
      if (n == 0 || isCut) return answer;
      if (n < 0) throw failed(url_, std::string("does not answer: ") + std::strerror(errno));
      answer.append(buffer, static_cast<size_t>(n));
    }
    throw failed(url_, "answers with too much");
  }

 private:
  const std::string& url_;
  const UniqueFd socket_;
  std::unique_ptr<TlsConnection> tls_;
};

}  // namespace

bool isUrl(const std::string& place) { return place.find("://") != std::string::npos; }

std::string request(const std::string& url, const std::string& query, const std::string& body,
                    size_t most) {
  const Url parts = parse(url);
  Connection connection(url, parts);
  const bool isGet = body.empty();
  std::string text = (isGet ? "GET " : "POST ") + parts.path + (isGet ? query : "") +
                     " HTTP/1.1\r\nHost: " + parts.host + ":" + parts.port +
                     "\r\nUser-Agent: airr\r\nConnection: close\r\n";
  if (!isGet) {
    text += "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  text += "\r\n" + body;
  connection.send(text);
  bool isCut = false;
  const std::string answer = connection.receiveAll(most + kMaxAnswerHeader, isCut);
  const size_t end = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.") || end == std::string::npos || answer.size() < 12) {
    throw failed(url, "does not speak HTTP/1.1");
  }
  const std::string status = answer.substr(9, 3);
  if (status[0] != '2') throw failed(url, "answers with status " + status);
  std::string fields = answer.substr(0, end);
  std::ranges::transform(fields, fields.begin(), [](unsigned char c) { return std::tolower(c); });
  if (fields.find("\r\ntransfer-encoding:") != std::string::npos) {
    throw failed(url, "answers in pieces (Transfer-Encoding), which is not understood here");
  }
  std::string content = answer.substr(end + 4);
  constexpr std::string_view kLength = "\r\ncontent-length:";
  if (size_t at = fields.find(kLength); at != std::string::npos) {
    at += kLength.size();
    while (at < fields.size() && fields[at] == ' ') ++at;
    size_t length = 0;
    std::from_chars(fields.data() + at, fields.data() + fields.size(), length);
    if (content.size() != length) throw failed(url, "does not answer to the end");
  } else if (isCut) {
    throw failed(url, "does not answer to the end");
  }
  return content;
}

}  // namespace airr
