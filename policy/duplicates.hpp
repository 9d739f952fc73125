// Passages that say the same: versions of a document repeat what has not changed, and documents quote each other. A model that
// reads a text twice has read something else less.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "policy/prompt.hpp"

namespace troupe::policy {

/// The first date in a text, as "2024-02-15"; the months and days of no calendar are none.
std::optional<std::string_view> date_in(std::string_view text);

/// Which of these passages to keep, in their order: of those whose texts have the same words in the same order, one, at the
/// place of the first. If their names carry dates, of versions of a document, that is the version in force: the newest, or if
/// the question names a day, the newest that is not younger than it. Otherwise it is the first.
///
/// Versions that differ are kept side by side: a model has to see that they do.
std::vector<std::size_t> without_duplicates(std::span<const PassageText> passages, std::string_view question);

}  // namespace troupe::policy
