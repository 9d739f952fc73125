#include "cli/report_files.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace troupe::cli {

namespace {

namespace fs = std::filesystem;

Result<void> check_written(std::ofstream& file, const std::string& name) {
  file.flush();
  if (file) return {};
  return Error{ErrorCode::io, "cannot write to " + name + "; is there such a folder, and may it be written?"};
}

}  // namespace

Result<std::unique_ptr<ReportFiles>> ReportFiles::open(const std::string& html, const std::string& answers,
                                                       const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const auto& [option, name] : {std::pair("--html", &html), std::pair("--answers", &answers)}) {
    for (const std::string& input : inputs) {
      if (name->empty() || input.empty() || !fs::equivalent(*name, input, ignored)) continue;
      return Error{ErrorCode::invalid_argument,
                   std::string(option) + " is " + input + ", which is read and would be written over; name another file"};
    }
  }
  if (!html.empty() && fs::weakly_canonical(html, ignored) == fs::weakly_canonical(answers, ignored))
    return Error{ErrorCode::invalid_argument, "--html and --answers are the same file; name two"};
  std::unique_ptr<ReportFiles> files(new ReportFiles(html, answers));
  const auto is_new = [&](const std::string& name) {
    return fs::symlink_status(name, ignored).type() == fs::file_type::not_found;
  };
  if (!html.empty()) {
    const bool made = is_new(html);
    files->page_.open(html, std::ios::binary | std::ios::app);
    TROUPE_TRY_DO(check_written(files->page_, html));
    // What is no ordinary file may have a reader, for whom closing it is its end.
    if (fs::is_regular_file(html, ignored)) files->page_.close();
    if (made) fs::remove(html, ignored);
  }
  if (!answers.empty()) {
    files->answers_are_new_ = is_new(answers);
    files->answers_.open(answers, std::ios::binary);
    TROUPE_TRY_DO(check_written(files->answers_, answers));
  }
  return files;
}

ReportFiles::~ReportFiles() {
  answers_.close();
  std::error_code ignored;
  if (answers_are_new_ && fs::file_size(answers_name_, ignored) == 0) fs::remove(answers_name_, ignored);
}

Result<void> ReportFiles::finish() {
  if (!html_name_.empty()) {
    if (!page_.is_open()) page_.open(html_name_, std::ios::binary);
    page_ << html_.view();
    TROUPE_TRY_DO(check_written(page_, html_name_));
  }
  return answers_name_.empty() ? Result<void>() : check_written(answers_, answers_name_);
}

}  // namespace troupe::cli
