// An Http without a network, whose time is what the test says: requests are kept, and answered by hand.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "remote/http.hpp"

namespace troupe::remote {

class ManualHttp final : public Http {
 public:
  struct Exchange {
    HttpRequest request;
    std::shared_ptr<HttpListener> listener;
    bool cancelled = false;

    void head(int status, std::optional<Duration> retry_after = {}) const {
      if (!cancelled) listener->on_head({status, retry_after});
    }
    void bytes(const std::string& text) const {
      if (!cancelled) listener->on_bytes(text);
    }
    void end(Result<void> how = {}) const {
      if (!cancelled) listener->on_end(std::move(how));
    }
  };

  void post(Work work) override { work(); }
  TimePoint now() const override { return clock_.now(); }
  void at(TimePoint when, Work work) override { timers_.emplace(when, std::move(work)); }
  ExchangeId begin(HttpRequest request, std::shared_ptr<HttpListener> listener) override {
    exchanges_.push_back(std::make_unique<Exchange>(Exchange{std::move(request), std::move(listener)}));
    return exchanges_.size() - 1;
  }
  void cancel(ExchangeId exchange) override { exchanges_.at(exchange)->cancelled = true; }

  std::size_t count() const { return exchanges_.size(); }
  Exchange& exchange(std::size_t place) { return *exchanges_.at(place); }
  Exchange& last() { return *exchanges_.back(); }
  /// Time passes, and what is due in it happens in order.
  void advance(Duration by) {
    const TimePoint end = now() + by;
    while (!timers_.empty() && timers_.begin()->first <= end) {
      const auto [when, work] = *timers_.begin();
      timers_.erase(timers_.begin());
      if (when > now()) clock_.advance(when - now());
      work();
    }
    clock_.advance(end - now());
  }

 private:
  ManualClock clock_;
  std::multimap<TimePoint, Work> timers_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace troupe::remote
