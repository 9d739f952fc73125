// Which elements of a web page stand open, and so whether a text is seen: what the HTML standard's tree construction (13.2.6)
// says of it, without a tree. Each tag takes a bounded time on average, however deep elements stand in each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace troupe::storage {

/// What is known of an element by its name.
struct HtmlTraits {
  bool in_line = false;    ///< stands in a line; anything else begins a new one
  bool unseen = false;     ///< its content is not for readers
  bool text_only = false;  ///< has no elements; ends at its own end tag
  bool no_end = false;     ///< has no end tag, and so never stands open
  bool special = false;    ///< the end tags of elements that are not special do not reach beyond it
  bool scope = false;      ///< and those of special ones neither
  bool closes_paragraph = false;
  std::size_t heading = 0;  ///< 1 to 6; 0: none
};

class HtmlElements {
 public:
  HtmlElements();

  const HtmlTraits& traits(const std::string& name) { return known(name).traits; }
  /// A start tag. Closes what has no end tag of its own before it: a list's last item, a table's last cell, a paragraph, ...
  /// `hidden`: by its attributes; `closes_itself`: "<name/>".
  void start(const std::string& name, bool hidden, bool closes_itself);
  /// An end tag: closes the element and all in it. Nothing if it does not stand open, or stands outside of, say, the table
  /// cell.
  void end(const std::string& name);

  /// Elements that stand open.
  std::size_t depth() const { return open_.size() - 1; }
  /// Whether a text here is seen: in nothing that is hidden, for other eyes than readers', or struck out.
  bool seen() const { return unseen_ == 0 && struck_ == 0; }
  /// In SVG or MathML, which have other rules.
  bool foreign() const { return open_.back().foreign; }

 private:
  struct Known {
    std::string_view name;
    HtmlTraits traits;
    std::uint32_t last = 0;  ///< the innermost of this name that stands open, by its place; 0: none does
  };
  /// Places are those of the innermost element of a kind, itself included; 0: there is none.
  struct Open {
    Known* known = nullptr;
    std::uint32_t same = 0;  ///< of the same name, without itself
    std::uint32_t special = 0;
    std::uint32_t scope = 0;
    std::uint32_t item = 0;       ///< a special element but <address>, <div> and <p>, which a list's item may have open in it
    std::uint32_t paragraph = 0;  ///< within its scope
    std::uint32_t heading = 0;    ///< within its scope
    std::uint32_t table = 0;
    std::uint32_t group = 0;   ///< of rows, or a table
    std::uint32_t row = 0;     ///< or a group
    std::uint32_t struck = 0;  ///< when it was opened
    bool foreign = false;
    bool unseen = false;
  };

  Known& known(const std::string& name);
  void close_before(const std::string& name, const HtmlTraits& traits);
  void push(const std::string& name, Known& known, bool hidden);
  /// Closes elements until so many stand open.
  void close_to(std::size_t depth);
  /// The place of the element that an end tag closes; 0: none.
  std::size_t closed_by(const std::string& name, const Known& known) const;

  std::unordered_map<std::string, Known> known_;
  std::vector<Open> open_;  ///< the first stands for the page
  std::size_t unseen_ = 0;  ///< of those that are open
  std::uint32_t struck_ = 0;
};

}  // namespace troupe::storage
