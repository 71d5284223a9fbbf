/* errh_codes: error codes, classes and strings (MPI-5.0 sections 9.4 and 9.5). */
#include "conformance.h"

TEST(errh_codes_predefined, 1, "MPI-5.0 section 9.4", "MPI_Error_class MPI_Error_string MPI_ERR_LASTCODE") {
  const int classes[] = {
      MPI_SUCCESS,        MPI_ERR_BUFFER,    MPI_ERR_COUNT,    MPI_ERR_TYPE,       MPI_ERR_TAG,
      MPI_ERR_COMM,       MPI_ERR_RANK,      MPI_ERR_REQUEST,  MPI_ERR_ROOT,       MPI_ERR_GROUP,
      MPI_ERR_OP,         MPI_ERR_TOPOLOGY,  MPI_ERR_DIMS,     MPI_ERR_ARG,        MPI_ERR_UNKNOWN,
      MPI_ERR_TRUNCATE,   MPI_ERR_OTHER,     MPI_ERR_INTERN,   MPI_ERR_PENDING,    MPI_ERR_IN_STATUS,
      MPI_ERR_WIN,        MPI_ERR_BASE,      MPI_ERR_LOCKTYPE, MPI_ERR_KEYVAL,     MPI_ERR_RMA_CONFLICT,
      MPI_ERR_RMA_SYNC,   MPI_ERR_INFO,      MPI_ERR_INFO_KEY, MPI_ERR_INFO_VALUE, MPI_ERR_INFO_NOKEY,
      MPI_ERR_NO_MEM,     MPI_ERR_SIZE,      MPI_ERR_DISP,     MPI_ERR_ASSERT,     MPI_ERR_RMA_RANGE,
      MPI_ERR_RMA_ATTACH, MPI_ERR_RMA_SHARED};
  enum { CLASSES = sizeof classes / sizeof *classes };
  CHECK_INT(MPI_SUCCESS, 0);
  for (int i = 0; i < CLASSES; i++) {
    int class = -1, length = -1;
    char text[MPI_MAX_ERROR_STRING];
    MPI_Error_class(classes[i], &class); /* a class is a code of its own class */
    CHECK_INT(class, classes[i]);
    CHECK(class >= 0 && class <= MPI_ERR_LASTCODE);
    MPI_Error_string(classes[i], text, &length);
    CHECK(length > 0 && length < MPI_MAX_ERROR_STRING);
    CHECK_INT(strlen(text), length);
    for (int j = 0; j < i; j++) CHECK(classes[j] != classes[i]);
  }
}

TEST(errh_codes_added, 1, "MPI-5.0 section 9.5",
     "MPI_Add_error_class MPI_Add_error_code MPI_Add_error_string MPI_LASTUSEDCODE") {
  int class = -1, code = -1, other = -1, got = -1, length = -1, *last = NULL, flag = 0;
  char text[MPI_MAX_ERROR_STRING];
  MPI_Add_error_class(&class);
  CHECK(class > MPI_ERR_LASTCODE);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &last, &flag);
  CHECK(flag && *last >= class);
  MPI_Add_error_code(class, &code);
  MPI_Add_error_code(MPI_ERR_ARG, &other);
  CHECK(code != class && code != other);
  MPI_Error_class(code, &got);
  CHECK_INT(got, class);
  MPI_Error_class(other, &got);
  CHECK_INT(got, MPI_ERR_ARG);
  MPI_Error_string(code, text, &length);
  CHECK_STR(text, ""); /* until one is given */
  MPI_Add_error_string(class, "bird error");
  MPI_Add_error_string(code, "the godwit has flown");
  MPI_Error_string(class, text, &length);
  CHECK_STR(text, "bird error");
  MPI_Error_string(code, text, &length);
  CHECK_STR(text, "the godwit has flown");
  CHECK_INT(length, 20);
  MPI_Add_error_string(code, "again");
  MPI_Error_string(code, text, &length);
  CHECK_STR(text, "again");
}

/* Classes are codes too, of themselves: added ones as well. */
TEST(errh_codes_class_of_class, 1, "MPI-5.0 section 9.5", "MPI_Add_error_class MPI_Error_class") {
  int class = -1, got = -1;
  MPI_Add_error_class(&class);
  MPI_Error_class(class, &got);
  CHECK_INT(got, class);
}

CHAPTER(errh_codes, &errh_codes_predefined, &errh_codes_added, &errh_codes_class_of_class)
