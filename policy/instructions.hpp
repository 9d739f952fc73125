// What documents say to a model instead of to their readers. Passages are data: they are quoted, not obeyed. A model that reads
// "ignore the other sources" may do so all the same, so it is not shown such a sentence, no claim is held against it, and
// nobody is quoted it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace troupe::policy {

struct PlainText {
  std::string text;                   ///< what is left, as it stood
  std::vector<std::string> left_out;  ///< the sentences that are not in it, in their order
};

/// A text without the sentences that speak to a model. Nothing here understands a language (of English it knows some words):
/// what is looked for is
///
/// - orders to leave what was said before ("ignore all earlier instructions"), or to be somebody else ("you are no longer an
///   assistant");
/// - orders how to answer ("reply with", "answer only with", "translate your answer", "do not cite");
/// - a new beginning that pretends to be somebody else's: "Assistant:", "<system>", "[2] Some Policy §1:".
///
/// So an instruction in other words comes through, and then the check of citations is what stands behind this. And a sentence
/// of a document about models may be lost; it is named where a node starts.
PlainText without_instructions(std::string_view text);

}  // namespace troupe::policy
