#include "policy/shadow_report.hpp"

#include <algorithm>

namespace troupe::policy {

namespace {

/// The smallest that at least so many hundredths do not exceed; 0 of nothing.
std::int64_t percentile(std::vector<std::int64_t> values, std::size_t hundredths) {
  if (values.empty()) return 0;
  const std::size_t rank = (values.size() * hundredths + 99) / 100;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

void count_reason(const std::string& why, std::map<std::string, std::size_t>& reasons) {
  const bool room = reasons.size() < ShadowReport::reasons_max || reasons.contains(why);
  ++reasons[room ? why : "other reasons"];
}

void count_disagreement(const ShadowRecord& record, ShadowRow& row) {
  const bool client = record.client.confident;
  const bool shadow = record.shadow.confident;
  ++(client   ? shadow ? row.both_confident : row.only_client_confident
     : shadow ? row.only_shadow_confident
              : row.neither_confident);
  const bool client_failed = !record.client.failed_check.empty();
  const bool shadow_failed = !record.shadow.failed_check.empty();
  if (client_failed && !shadow_failed) ++row.only_client_failed_check;
  if (shadow_failed && !client_failed) ++row.only_shadow_failed_check;
}

}  // namespace

void ShadowReport::add_side(const ShadowAnswer& answer, ShadowSide& side, Times& times) {
  side.confident += answer.confident ? 1 : 0;
  side.failed_checks += answer.failed_check.empty() ? 0 : 1;
  side.cost += answer.cost;
  side.computed += answer.computed;
  times.engine.push_back(answer.engine_ms);
  times.whole.push_back(answer.whole_ms);
}

void ShadowReport::finish(const Times& times, ShadowSide& side) {
  side.engine_p50_ms = percentile(times.engine, 50);
  side.engine_p95_ms = percentile(times.engine, 95);
  side.whole_p50_ms = percentile(times.whole, 50);
  side.whole_p95_ms = percentile(times.whole, 95);
}

void ShadowReport::add(const ShadowRecord& record) {
  Counted& counted = experiments_[record.experiment];
  ShadowRow& row = counted.row;
  row.experiment = record.experiment;
  ++row.drawn;
  if (record.fate != ShadowFate::compared) {
    ++(record.fate == ShadowFate::failed ? row.failed : row.dropped);
    return count_reason(record.why, row.why_not);
  }
  ++row.compared;
  row.agreed += record.agree() ? 1 : 0;
  row.same_text += record.same_text ? 1 : 0;
  row.same_values += record.same_values ? 1 : 0;
  if (!record.agree()) count_disagreement(record, row);
  add_side(record.client, row.client, counted.client);
  add_side(record.shadow, row.shadow, counted.shadow);
}

std::vector<ShadowRow> ShadowReport::rows() const {
  std::vector<ShadowRow> rows;
  for (const auto& [name, counted] : experiments_) {
    ShadowRow row = counted.row;
    finish(counted.client, row.client);
    finish(counted.shadow, row.shadow);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace troupe::policy
