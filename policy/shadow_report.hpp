// What many shadows come to: of each experiment, how often both said the same, who was right to be sure where they did not, and
// what each of them took.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "policy/shadow_record.hpp"

namespace troupe::policy {

/// One of the two sides, over all turns that were compared.
struct ShadowSide {
  std::size_t confident = 0;
  std::size_t failed_checks = 0;
  std::int64_t engine_p50_ms = 0;
  std::int64_t engine_p95_ms = 0;
  std::int64_t whole_p50_ms = 0;
  std::int64_t whole_p95_ms = 0;
  double cost = 0;
  double computed = 0;
};

struct ShadowRow {
  std::string experiment;
  std::size_t drawn = 0;  ///< compared, failed and dropped
  std::size_t compared = 0;
  std::size_t failed = 0;
  std::size_t dropped = 0;
  std::map<std::string, std::size_t> why_not;  ///< why some were not compared, and how many

  std::size_t agreed = 0;       ///< the same text, and the same sections cited
  std::size_t same_text = 0;    ///< whatever was cited
  std::size_t same_values = 0;  ///< the same numbers, codes and names
  // Of those that do not agree: who was sure, and whose checks failed.
  std::size_t only_client_confident = 0;
  std::size_t only_shadow_confident = 0;
  std::size_t both_confident = 0;
  std::size_t neither_confident = 0;
  std::size_t only_client_failed_check = 0;
  std::size_t only_shadow_failed_check = 0;

  ShadowSide client;
  ShadowSide shadow;
};

class ShadowReport {
 public:
  static constexpr std::size_t reasons_max = 32;  ///< of why turns were not compared; further ones count as "other reasons"

  void add(const ShadowRecord& record);
  /// By name.
  std::vector<ShadowRow> rows() const;

 private:
  struct Times {
    std::vector<std::int64_t> engine;
    std::vector<std::int64_t> whole;
  };
  struct Counted {
    ShadowRow row;
    Times client;
    Times shadow;
  };
  static void add_side(const ShadowAnswer& answer, ShadowSide& side, Times& times);
  static void finish(const Times& times, ShadowSide& side);

  std::map<std::string, Counted> experiments_;
};

}  // namespace troupe::policy
