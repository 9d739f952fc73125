// What a measurement writes to files beside its output: a page for people, and every answer for programs.
#pragma once

#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::cli {

class ReportFiles {
 public:
  /// Of the names --html and --answers; an empty one is not written. Opened before the work rather than after it, so that `io`
  /// comes at once. `invalid_argument` if one is among the files that the measurement reads (empty names aside).
  static Result<ReportFiles> open(const std::string& html, const std::string& answers, const std::vector<std::string>& inputs);
  /// Null: not asked for.
  std::ostream* html() { return html_name_.empty() ? nullptr : &html_; }
  std::ostream* answers() { return answers_name_.empty() ? nullptr : &answers_; }
  /// `io` if something did not get there.
  Result<void> check();

 private:
  std::string html_name_;
  std::string answers_name_;
  std::ofstream html_;
  std::ofstream answers_;
};

}  // namespace troupe::cli
