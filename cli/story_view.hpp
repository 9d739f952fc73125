// How the results of `troupe bench story` are shown.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>

#include "bench/story_page.hpp"

namespace troupe::cli {

void print_story(std::ostream& stream, const bench::StorySetting& setting, const bench::StoryRow& chain,
                 const bench::StoryRow& troupe);
nlohmann::ordered_json json_of(const bench::StorySetting& setting, const bench::StoryRow& chain, const bench::StoryRow& troupe);

}  // namespace troupe::cli
