// The tags of a web page and the text between them, as the tokenizer of the HTML standard (13.2.5) finds them, in one pass over
// the page. What an element is and when it ends is html_elements.hpp's, character references are html.cpp's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

/// Borrows from the page.
struct HtmlAttribute {
  std::string_view name;   ///< in capitals or not, as it is written
  std::string_view value;  ///< without quotes; empty if there is none
};

/// Borrows from the page.
struct HtmlToken {
  enum class Kind { text, start, end };
  Kind kind = Kind::text;
  std::string_view text;                  ///< of a text: with its character references
  std::string name;                       ///< of a tag, in small letters
  std::vector<HtmlAttribute> attributes;  ///< of a tag
  bool closes_itself = false;             ///< "<name/>", which means something in SVG and MathML alone
};

/// The page outlives this.
class HtmlTokens {
 public:
  explicit HtmlTokens(std::string_view page) : rest_(page) {}

  /// False at the end; a tag that the page's end cuts off is none. Comments, declarations and instructions are passed over, and
  /// so are end tags without a name. `foreign`: in SVG or MathML, which alone have CDATA sections.
  bool next(HtmlToken& token, bool foreign);
  /// After the start tag of an element that holds only text, such as <script>: its text, up to its end tag, which is passed
  /// over, or to the page's end.
  std::string_view take_text(std::string_view name);

 private:
  void skip_comment();
  void skip_through(std::string_view mark);
  bool take_tag(HtmlToken& token);
  bool take_attributes(std::size_t at, HtmlToken& token);

  std::string_view rest_;
};

/// Whether a text is `small`, which has no capitals, but for capitals.
bool is_in_any_case(std::string_view text, std::string_view small);

}  // namespace troupe::storage
