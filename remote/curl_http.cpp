#include "remote/curl_http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace troupe::remote {

namespace {

constexpr Duration poll_max = std::chrono::seconds(1);

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiCloser {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct HeadersCloser {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};

/// One request and its answer. What libcurl calls within must not remove the handle that it is working on; so a cancelled
/// exchange is only marked, and taken away between two of libcurl's calls.
struct Exchange {
  HttpRequest request;
  std::shared_ptr<HttpListener> listener;
  std::unique_ptr<CURL, EasyCloser> easy;
  std::unique_ptr<curl_slist, HeadersCloser> headers;
  bool head_told = false;
  bool cancelled = false;

  void tell_head() {
    if (std::exchange(head_told, true)) return;
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &retry_after);
    HttpHead head{.status = static_cast<int>(status), .retry_after = {}};
    constexpr curl_off_t year = 365LL * 24 * 3600;
    if (retry_after > 0) head.retry_after = std::chrono::seconds(std::min(retry_after, year));
    listener->on_head(head);
  }
};

std::size_t take_bytes(char* bytes, std::size_t one, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.cancelled) return 0;
  exchange.tell_head();
  if (!exchange.cancelled) exchange.listener->on_bytes({bytes, one * count});
  return exchange.cancelled ? 0 : one * count;
}

class CurlHttp final : public Http {
 public:
  Result<void> open() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_.reset(curl_multi_init());
    if (ready != CURLE_OK || !multi_) return Error{ErrorCode::io, "libcurl cannot be used"};
    thread_ = std::thread([this] { run(); });
    return {};
  }
  ~CurlHttp() override {
    if (!thread_.joinable()) return;
    {
      const std::scoped_lock lock(mutex_);
      closing_ = true;
    }
    curl_multi_wakeup(multi_.get());
    thread_.join();
    for (const auto& [id, exchange] : exchanges_) curl_multi_remove_handle(multi_.get(), exchange->easy.get());
  }

  void post(Work work) override {
    {
      const std::scoped_lock lock(mutex_);
      if (closing_) return;
      posted_.push_back(std::move(work));
    }
    curl_multi_wakeup(multi_.get());
  }

  TimePoint now() const override { return SystemClock().now(); }
  void at(TimePoint when, Work work) override { timers_.emplace(when, std::move(work)); }

  ExchangeId begin(HttpRequest request, std::shared_ptr<HttpListener> listener) override {
    const ExchangeId id = ++last_;
    auto exchange = std::make_unique<Exchange>();
    exchange->request = std::move(request);
    exchange->listener = std::move(listener);
    exchange->easy.reset(curl_easy_init());
    const bool begun =
        exchange->easy && prepare(*exchange, id) && curl_multi_add_handle(multi_.get(), exchange->easy.get()) == CURLM_OK;
    if (!begun) {
      at(now(), [listener = exchange->listener] { listener->on_end(Error{ErrorCode::io, "libcurl takes no request"}); });
      return id;
    }
    exchanges_[id] = std::move(exchange);
    return id;
  }

  void cancel(ExchangeId id) override {
    const auto found = exchanges_.find(id);
    if (found == exchanges_.end()) return;
    found->second->cancelled = true;
    any_cancelled_ = true;
  }

 private:
  static bool prepare(Exchange& exchange, ExchangeId id) {
    CURL* const easy = exchange.easy.get();
    const HttpRequest& request = exchange.request;
    for (const std::string& header : request.headers) {
      curl_slist* const longer = curl_slist_append(exchange.headers.get(), header.c_str());
      if (longer == nullptr) return false;
      (void)exchange.headers.release();
      exchange.headers.reset(longer);
    }
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(request.connect_timeout).count();
    bool set = true;
    const auto option = [&](CURLoption name, auto value) { set = set && curl_easy_setopt(easy, name, value) == CURLE_OK; };
    option(CURLOPT_URL, request.url.c_str());
    option(CURLOPT_PROTOCOLS_STR, "http,https");
    option(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    option(CURLOPT_HTTPHEADER, exchange.headers.get());
    option(CURLOPT_POST, 1L);
    option(CURLOPT_POSTFIELDS, request.body.c_str());
    option(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    option(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(milliseconds));
    option(CURLOPT_FOLLOWLOCATION, 0L);
    option(CURLOPT_NOSIGNAL, 1L);
    option(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    option(CURLOPT_PROXY, request.proxy.c_str());  // an empty one is none, whatever the environment says
    if (!request.ca_file.empty()) option(CURLOPT_CAINFO, request.ca_file.c_str());
    option(CURLOPT_WRITEFUNCTION, &take_bytes);
    option(CURLOPT_WRITEDATA, &exchange);
    option(CURLOPT_PRIVATE, reinterpret_cast<char*>(static_cast<std::uintptr_t>(id)));
    return set;
  }

  void run() {
    for (;;) {
      std::vector<Work> works;
      {
        const std::scoped_lock lock(mutex_);
        if (closing_) return;
        works.swap(posted_);
      }
      for (const Work& work : works) work();
      run_timers();
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      end_exchanges();
      const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(time_to_next() + std::chrono::microseconds(999));
      curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(wait.count()), nullptr);
    }
  }

  void run_timers() {
    while (!timers_.empty() && timers_.begin()->first <= now()) {
      const Work work = std::move(timers_.extract(timers_.begin()).mapped());
      work();
    }
  }

  Duration time_to_next() const {
    if (timers_.empty()) return poll_max;
    return std::clamp(timers_.begin()->first - now(), Duration::zero(), poll_max);
  }

  void end_exchanges() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      char* id = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &id);
      const CURLcode code = message->data.result;
      const auto found = exchanges_.find(static_cast<ExchangeId>(reinterpret_cast<std::uintptr_t>(id)));
      if (found == exchanges_.end()) continue;
      const auto exchange = std::move(exchanges_.extract(found).mapped());
      curl_multi_remove_handle(multi_.get(), exchange->easy.get());
      if (exchange->cancelled) continue;
      if (code == CURLE_OK) exchange->tell_head();  // of an answer without a body
      if (exchange->cancelled) continue;
      exchange->listener->on_end(
          code == CURLE_OK ? Result<void>()
                           : Error{ErrorCode::unavailable, std::string("the connection failed: ") + curl_easy_strerror(code)});
    }
    if (!std::exchange(any_cancelled_, false)) return;
    std::erase_if(exchanges_, [&](const auto& entry) {
      if (entry.second->cancelled) curl_multi_remove_handle(multi_.get(), entry.second->easy.get());
      return entry.second->cancelled;
    });
  }

  std::unique_ptr<CURLM, MultiCloser> multi_;
  std::mutex mutex_;
  std::vector<Work> posted_;  ///< under the mutex
  bool closing_ = false;      ///< the same

  // On the thread alone.
  std::map<ExchangeId, std::unique_ptr<Exchange>> exchanges_;
  std::multimap<TimePoint, Work> timers_;
  ExchangeId last_ = 0;
  bool any_cancelled_ = false;

  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Http>> open_curl_http() {
  auto http = std::make_unique<CurlHttp>();
  TROUPE_TRY_DO(http->open());
  return std::unique_ptr<Http>(std::move(http));
}

}  // namespace troupe::remote
