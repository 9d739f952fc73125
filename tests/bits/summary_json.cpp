#include "tests/bits/summary_json.hpp"

namespace troupe::tests::bits {

nlohmann::json to_json(const Summary& summary) {
  return {{"cases", summary.cases},         {"sequences", summary.sequences}, {"tokens", summary.tokens},
          {"blocks", summary.blocks},       {"steps", summary.steps},         {"tokens_by_batch", summary.tokens_by_batch},
          {"differing", summary.differing}, {"features", summary.features}};
}

Summary summary_of(const nlohmann::json& json) {
  Summary summary;
  json.at("cases").get_to(summary.cases);
  json.at("sequences").get_to(summary.sequences);
  json.at("tokens").get_to(summary.tokens);
  json.at("blocks").get_to(summary.blocks);
  json.at("steps").get_to(summary.steps);
  json.at("tokens_by_batch").get_to(summary.tokens_by_batch);
  json.at("differing").get_to(summary.differing);
  for (const auto& [feature, cases] : json.at("features").items()) summary.features[feature] = cases.get<std::uint64_t>();
  return summary;
}

}  // namespace troupe::tests::bits
